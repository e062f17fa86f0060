import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type Database from 'better-sqlite3';

/** A page that many commits change is copied back once per checkpoint: 16 MB of log instead of SQLite's 4. */
const PAGES = 4_000;
/**
 * What little the thread has left, because it was written meanwhile, the writer copies back itself (3.5 ms, 6.5 at most), so that the log
 * begins anew: while commits follow each other the thread alone never reaches its end, and with two flushes of the disk for each attempt it
 * held them up (1,081 attempts in three bench runs of switches of 5 s, with this 162).
 */
const FEW = 1_000;
/** Where the log is four times as long, the thread is late or dead: then the writer copies it back itself, as SQLite does. */
export const OWN_PAGES = 4 * PAGES;

/**
 * Copies the log back, with a connection of its own, whenever it is told to. JavaScript in a text, because the tests run the sources and the
 * program runs what was compiled of them: a file would have another name in each.
 */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const database = new (require(workerData.library))(workerData.file, { fileMustExist: true, timeout: 0 });
database.pragma('synchronous = FULL');
parentPort.on('message', () => {
	try {
		database.pragma('wal_checkpoint(PASSIVE)');
	} catch {}
	parentPort.postMessage(null);
});
`;

type State = readonly [{ readonly log: number; readonly checkpointed: number }];

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
 */
export const createCheckpoints = (writer: Database.Database, file: string): Checkpoints => {
	const look = writer.prepare('pragma wal_checkpoint(noop)');
	let worker: Worker | null = null;
	let isBusy = false;
	let isBroken = false;

	const start = (): Worker => {
		const library = createRequire(import.meta.url).resolve('better-sqlite3');
		const begun = new Worker(THREAD, {
			eval: true,
			workerData: { library, file },
			resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
		});
		begun.unref();
		begun.on('message', () => {
			isBusy = false;
		});
		begun.on('error', () => undefined);
		begun.on('exit', () => {
			isBroken = true;
		});
		return begun;
	};

	return {
		committed: () => {
			if (isBusy || isBroken) return;
			try {
				const [{ log, checkpointed }] = look.all() as unknown as State;
				if (log < PAGES || checkpointed === log) return;
				if (log - checkpointed <= FEW) {
					writer.pragma('wal_checkpoint(PASSIVE)');
					return;
				}
				worker ??= start();
				isBusy = true;
				worker.postMessage(null);
			} catch {
				// What was committed stays so, whatever a look at the log meets: the writer copies it back itself later.
			}
		},
		close: async () => {
			isBroken = true;
			await worker?.terminate();
		},
	};
};
