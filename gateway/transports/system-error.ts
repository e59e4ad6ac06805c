/** Errors of the kernel's, as Node gives them. */

import { getSystemErrorName } from "node:util";

/** @param number below 0, as the kernel gives it */
export function systemError(syscall: string, number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: number, syscall });
}
