import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { isPassing } from '../commands/follow.ts';
import type { Context } from '../context.ts';

type Row = Output<'listJobs'>['items'][number];

/** What following came to. `problem` is what the exit code is made of; without one the run went well. */
export type Followed = { readonly job: Row; readonly problem?: SpotError };

const EVERY = 1000;

const isUnderWay = ({ last_started_at: start, last_ended_at: end }: Row): boolean => start !== null && (end === null || start > end);

const failed = ({ name, last_error }: Row): SpotError =>
	new SpotError('ended_badly', 'JOB_FAILED', `job ${name} failed`, { hint: last_error ?? undefined });

const paused = ({ name }: Row): SpotError =>
	new SpotError('ended_badly', 'JOB_PAUSED', `job ${name} was paused before its run ended`, {
		hint: `resume it: spotctl jobs resume ${name}`,
	});

const stillOpen = ({ name }: Row, begun: boolean, timeout: number): SpotError =>
	new SpotError('pending', 'WAIT_TIMEOUT', `job ${name} ${begun ? 'still runs' : 'has not begun'} after ${timeout / 1000} s`, {
		hint: 'see: spotctl jobs list',
	});

/**
 * Asks every second how the run fares that `asked` shows the request for, until it has ended or `timeout` is over. The request stands in the
 * row until a run begins; if that is under way when it is seen to have begun, it is the next one to be counted.
 */
export const followJob = async (context: Context, asked: Row, timeout: number): Promise<Followed> => {
	const { clock, signal } = context;
	const api = await context.api();
	const until = clock.elapsed() + timeout;
	let row = asked;
	let countsAt: number | null = null;
	let lost = false;
	const look = async (): Promise<void> => {
		try {
			const { items } = await api.listJobs({}, signal);
			row = items.find(({ name }) => name === asked.name) ?? row;
			if (lost) context.note('the daemon answers again');
			lost = false;
		} catch (error) {
			if (!isPassing(error)) throw error;
			if (!lost) context.note(`${error.message}; trying again`);
			lost = true;
		}
	};
	try {
		for (;;) {
			await look();
			if (countsAt === null && row.requested_at !== asked.requested_at) {
				countsAt = row.runs + (isUnderWay(row) ? 1 : 0);
				if (isUnderWay(row)) context.note('begun');
			}
			if (countsAt !== null && row.runs >= countsAt)
				return row.last_result === 'failed' ? { job: row, problem: failed(row) } : { job: row };
			if (row.state === 'paused') return { job: row, problem: paused(row) };
			const left = until - clock.elapsed();
			if (left <= 0) return { job: row, problem: stillOpen(row, countsAt !== null, timeout) };
			await clock.sleep(Math.max(1, Math.min(EVERY, left)), signal);
		}
	} catch (error) {
		if (!signal.aborted) throw error;
		throw new SpotError('interrupted', 'INTERRUPTED', `interrupted; job ${asked.name} runs all the same`, {
			hint: 'see: spotctl jobs list',
			cause: error,
		});
	}
};
