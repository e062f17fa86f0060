/** An event is written up to this long after its time: the rest of its transaction. */
export const WRITTEN_MS = 120_000;
