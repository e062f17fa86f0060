import type { Output } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import type { Context } from '../context.ts';

type Row = Output<'showCommand'>;

/** What following came to. `problem` is what the exit code is made of; without one the command is done. */
export type Followed = { readonly command: Row; readonly problem?: SpotError };

const EVERY = 1000;
const OPEN = new Set<Row['status']>(['pending', 'claimed']);

/** The stages a switch passes, in order, as far as it has come. A stage nobody told of is left out. */
const stagesOf = (row: Row): string[] => [
	`queued: command ${row.id}`,
	...(row.claimed_at === null ? [] : ['claimed by the agent']),
	...(row.launched_at === null ? [] : [`launched${row.new_instance_id === null ? '' : `: ${row.new_instance_id}`}`]),
	...(row.reported_at === null ? [] : ['reported by the agent']),
	...(row.status === 'completed' ? ['done'] : []),
];

const stageName = (stage: string): string => stage.split(/[: ]/, 1)[0] ?? stage;

const endedBadly = ({ id, status, message, outcome }: Row): SpotError =>
	new SpotError(
		'ended_badly',
		`COMMAND_${status.toUpperCase()}`,
		`command ${id} ${status === 'failed' ? 'failed' : `was ${status}`}`.replace('was expired', 'expired'),
		{
			hint: message ?? outcome ?? undefined,
		},
	);

/** A daemon that does not answer just now: a restart, or too many questions at once. */
export const isPassing = (error: unknown): error is SpotError =>
	error instanceof SpotError && (error.kind === 'unavailable' || error.kind === 'limited');

const stillOpen = (row: Row, timeout: number): SpotError =>
	new SpotError('pending', 'WAIT_TIMEOUT', `command ${row.id} is still ${row.status} after ${timeout / 1000} s; it goes on`, {
		hint: `see: spotctl commands show ${row.id}`,
	});

/**
 * Asks every second how a command fares and names each new stage once on stderr, until it ends or `timeout` is over. A daemon that
 * does not answer for a while (a restart) is waited for. Rejects when interrupted, after saying that the command goes on.
 */
export const followCommand = async (context: Context, id: string, timeout: number): Promise<Followed> => {
	const { clock, signal } = context;
	const api = await context.api();
	const told = new Set<string>();
	const until = clock.elapsed() + timeout;
	let row: Row | undefined;
	let lost = false;
	const look = async (): Promise<void> => {
		try {
			row = await api.showCommand({ command_id: id }, signal);
			if (lost) context.note('the daemon answers again');
			lost = false;
		} catch (error) {
			if (!isPassing(error)) throw error;
			if (!lost) context.note(`${error.message}; trying again`);
			lost = true;
			if (clock.elapsed() >= until && row === undefined) throw error;
		}
	};
	const tell = (): void => {
		for (const stage of row === undefined ? [] : stagesOf(row)) {
			if (!told.has(stageName(stage))) context.note(stage);
			told.add(stageName(stage));
		}
	};
	try {
		for (;;) {
			await look();
			tell();
			if (row !== undefined && !OPEN.has(row.status))
				return row.status === 'completed' ? { command: row } : { command: row, problem: endedBadly(row) };
			const left = until - clock.elapsed();
			if (left <= 0 && row !== undefined) return { command: row, problem: stillOpen(row, timeout) };
			await clock.sleep(Math.max(1, Math.min(EVERY, left)), signal);
		}
	} catch (error) {
		if (!signal.aborted) throw error;
		throw new SpotError('interrupted', 'INTERRUPTED', `interrupted; command ${id} goes on`, {
			hint: `follow it: spotctl commands show ${id}\nend it: spotctl commands cancel ${id}`,
			cause: error,
		});
	}
};
