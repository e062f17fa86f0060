import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import type { OpenOptions } from './open.ts';

/** A page that many commits change is copied back once per checkpoint: 16 MB of log instead of SQLite's 4. */
const PAGES = 4_000;
/**
 * What little the thread has left, because it was written meanwhile, the writer copies back itself, so that the log begins anew: while
 * commits follow each other the thread alone never reaches its end, and with two flushes of the disk for each attempt it held them up
 * (1,081 attempts in three bench runs of switches of 5 s, with this 162).
 */
const FEW = 1_000;
/** Where the log is four times as long, the thread is late or dead: then the writer copies it back itself, as SQLite does. */
export const OWN_PAGES = 4 * PAGES;

/** A thread that ended is begun anew after this long. */
const AGAIN_MS = 60_000;

/**
 * Copies the log back, with a connection of its own, whenever it is told to, and flushes what it copied: SQLite leaves that to whoever copies
 * the last page, which is the writer (32 to 63 ms of the thread that answers everybody, without the thread's own flush). JavaScript in a text,
 * because the tests run the sources and the program runs what was compiled of them: a file would have another name in each.
 */
const THREAD = `
const { fdatasyncSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const database = new (require(workerData.library))(workerData.file, { fileMustExist: true, timeout: 5_000 });
database.pragma('synchronous = FULL');
parentPort.on('message', () => {
	try {
		database.pragma('wal_checkpoint(PASSIVE)');
		fdatasyncSync(workerData.descriptor);
	} catch {}
	parentPort.postMessage(null);
});
`;

type State = readonly [{ readonly log: number; readonly checkpointed: number }];

type Surroundings = Pick<OpenOptions, 'clock' | 'tell'>;

/** Keeps the write-ahead log short without a wait for whoever writes. */
export type Checkpoints = {
	/** To be called after each commit; costs a look at the log's index (18 µs). */
	committed(): void;
	close(): Promise<void>;
};

/**
 * Checkpoints in a thread of their own: one of 8,000 pages took 20 to 90 ms of the thread that answers everybody, and came in the middle of
 * whatever wrote so much. Passive ones (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint) keep no writer waiting; the log begins anew
 * with the first commit that finds all of it copied back, which the writer sees to. The thread begins when the log is long for the first time.
 * `descriptor` is one of the same file. Should the thread end, `tell` hears of it, the writer copies back at {@link OWN_PAGES}, and a new
 * thread is begun a minute later.
 */
export const createCheckpoints = (
	writer: Database.Database,
	file: string,
	descriptor: number,
	{ clock, tell }: Surroundings,
): Checkpoints => {
	const look = writer.prepare('pragma wal_checkpoint(noop)');
	let worker: Worker | null = null;
	let isBusy = false;
	let isClosed = false;
	let notBefore = Number.NEGATIVE_INFINITY;

	const start = (): Worker => {
		const library = createRequire(import.meta.url).resolve('better-sqlite3');
		const begun = new Worker(THREAD, {
			eval: true,
			workerData: { library, file, descriptor },
			resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
		});
		begun.unref();
		begun.on('message', () => {
			isBusy = false;
		});
		let why = 'it ended';
		begun.on('error', (error) => {
			why = error.message;
		});
		begun.on('exit', () => {
			worker = null;
			isBusy = false;
			notBefore = clock.elapsed() + AGAIN_MS;
			if (!isClosed)
				tell?.(
					`the thread that shortens SQLite’s write-ahead log ended (${why}); another begins a minute later, until then some commits take longer`,
				);
		});
		return begun;
	};

	return {
		committed: () => {
			if (isBusy || isClosed) return;
			try {
				const [{ log, checkpointed }] = look.all() as unknown as State;
				if (log < PAGES || checkpointed === log) return;
				if (log - checkpointed <= FEW) {
					writer.pragma('wal_checkpoint(PASSIVE)');
					return;
				}
				if (clock.elapsed() < notBefore) return;
				worker ??= start();
				isBusy = true;
				worker.postMessage(null);
			} catch {
				// What was committed stays so, whatever a look at the log meets: the writer copies it back itself later.
			}
		},
		close: async () => {
			isClosed = true;
			await worker?.terminate();
		},
	};
};
