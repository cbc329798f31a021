// The connection to the board: it heals itself.
import { SILENT_MS } from "./state.js";

const RETRY_MS = [1000, 5000];
const HUNG_MS = SILENT_MS + 2000; // open, but silent for so long: opened anew

export function listen(path, state, told) {
  let stream = null;
  let timer = 0;
  const open = () => {
    clearTimeout(timer);
    stream?.close();
    stream = new EventSource(path);
    for (const kind of ["snapshot", "patch", "beat"]) {
      stream.addEventListener(kind, (message) => {
        if (kind !== "snapshot" && state.head === null) return open(); // a patch on nothing: ask for all
        state.take(kind, JSON.parse(message.data));
        told(kind);
      });
    }
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) again(); // refused; a broken connection the browser mends itself
    });
  };
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(open, RETRY_MS[0] + Math.random() * (RETRY_MS[1] - RETRY_MS[0]));
  };
  let opened = performance.now();
  setInterval(() => {
    const hung = state.silence() > HUNG_MS && performance.now() - opened > HUNG_MS;
    if (hung) {
      opened = performance.now();
      open();
    }
  }, 1000);
  open();
}
