/** Tells the process manager that started this process, if one did, that it is ready. */
export function tellReady(): void {
  // It may be gone by now: then there is nobody to tell, and the stop request says the rest.
  if (process.connected) process.send?.("ready", undefined, undefined, () => {});
}
