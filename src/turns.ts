import type { Clock } from './deps.ts';

/** A connection is accepted in one turn and its request read in the next. */
const QUIET_TURNS = 2;
/** With something new in every turn, whoever came first waits no longer. */
const LONGEST_MS = 5;

/** Lets everything else have a turn of the event loop. */
export const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/**
 * Waits for what arrives together with what is there: ends when `waiting` answers `enough`, when two turns of the event loop brought
 * nothing, or after 5 ms. libuv accepts one connection a turn (1.45 and later, libuv/libuv#3696), and agents of the field open one for each
 * request: without this wait a storm of notices was decided one by one as soon as the daemon had answered the first of them, each with a
 * commit of its own (571 of 1,000, which took 3.0 s instead of 1.1).
 */
export const gather = async (clock: Pick<Clock, 'elapsed'>, enough: number, waiting: () => number): Promise<void> => {
	const until = clock.elapsed() + LONGEST_MS;
	let seen = waiting();
	for (let quiet = 0; quiet < QUIET_TURNS && seen < enough && clock.elapsed() < until; ) {
		await turn();
		const now = waiting();
		quiet = now > seen ? 0 : quiet + 1;
		seen = now;
	}
};
