/** The beginning of a TLS handshake, as a client of today sends it. */

import { Duplex } from "node:stream";
import { connect } from "node:tls";

/** A ClientHello that asks for all that this runtime can. */
export async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const wire = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      resolve(Buffer.from(bytes));
      done();
    },
  });
  const socket = connect({ socket: wire, servername: "localhost" });
  // Nobody answers, and it is not glad of that.
  socket.on("error", () => {});
  const hello = await promise;
  socket.destroy();
  return hello;
}
