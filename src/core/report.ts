import type { Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import type { Command } from '../store/commands.ts';
import type { Host } from '../store/hosts.ts';
import type { Mode } from '../store/schema.ts';
import type { SwitchRecord } from '../store/switches.ts';

/** USD as micro-dollars; null stays null. */
export const micros = (usd: number | null | undefined): number | null =>
	usd === null || usd === undefined ? null : Math.round(usd * 1_000_000);

/** A price as micro-dollars. What is below half a micro-dollar is no price: as 0 it would make the machine free (D-37). */
export const priceMicros = (usd: number | null | undefined): number | null => micros(usd) || null;

/** Micro-dollars as USD. */
export const dollars = (value: number): number => value / 1_000_000;

/** The same; null stays null. */
export const usd = (value: number | null): number | null => (value === null ? null : dollars(value));

const DAY = 86_400_000;

/** A time an agent reports, or null when its clock cannot be right (1970, 2999). */
export const plausible = (at: number | null | undefined, now: number): number | null =>
	at === null || at === undefined || at < now - 60 * DAY || at > now + 600_000 ? null : at;

/**
 * When a machine ended, by somebody's word: not before the last time it was known to live (`seen`, or what it was made to), not after now. What
 * it was until then stays in the books.
 */
export const endOf = (
	host: Pick<Host, 'created_at' | 'last_switch_at' | 'zombie_at'>,
	said: number | null,
	now: number,
	seen = 0,
): number => Math.min(now, Math.max(said ?? now, seen, host.zombie_at ?? 0, host.last_switch_at ?? 0, host.created_at));

type Side = {
	readonly mode: Mode | null;
	readonly poolId: string | null;
	readonly type: string | null;
	readonly region: string | null;
	readonly az: string | null;
	readonly ami: string | null;
};

/** A switch report in one shape, whichever of the three vocabularies it came in (D-03). */
export type Report = {
	readonly commandId: string | null;
	readonly oldId: string | null;
	readonly newId: string | null;
	readonly old: Side;
	readonly new: Side;
	readonly success: boolean;
	readonly error: string | null;
	/** The cause in a word of the history; null where the report has none of them. */
	readonly trigger: string | null;
	readonly oldTerminatedAt: number | null;
	/** The columns of the switch history it fills. */
	readonly record: Partial<SwitchRecord>;
};

const side = (given: Valid<'switchReport'>['old_instance']): Side => ({
	mode: given?.mode ?? null,
	poolId: given?.mode === 'ondemand' ? null : (given?.pool_id ?? null),
	type: given?.instance_type ?? null,
	region: given?.region ?? null,
	az: given?.az ?? null,
	ami: given?.ami_id ?? null,
});

/** Causes that a report may name (endpoints.md #49). An agent makes "manual" or "model" of the priority of its command, so a command that is known goes before it. */
const TRIGGERS: ReadonlySet<string> = new Set(['manual', 'model', 'automatic', 'emergency']);

const triggerOf = (said: string | null): string | null => {
	const word = said?.toLowerCase() ?? '';
	return TRIGGERS.has(word) ? word : null;
};

/**
 * Old price minus new price in micro-dollars per hour (spec section 5); null when one of them is unknown. What is paid follows the mode:
 * the on-demand price for an on-demand machine (of which `old_spot` is null in every report, endpoints.md #49) and where no mode is known.
 * A spot machine never paid it, so without its spot price nothing is said: the difference would be a saving that nobody measured
 * (decided 12, spec section 11).
 */
export const impactOf = (
	oldSpot: number | null,
	newSpot: number | null,
	onDemand: number | null,
	oldMode: Mode | null,
	newMode: Mode | null,
): number | null => {
	const before = oldMode === 'ondemand' ? onDemand : (oldSpot ?? (oldMode === null ? onDemand : null));
	const after = newMode === 'ondemand' ? onDemand : (newSpot ?? (newMode === null ? onDemand : null));
	return before === null || after === null ? null : before - after;
};

/** Brings a report into one shape. Errors: 400 when it names no new machine though it says it succeeded. */
export const readReport = (input: Valid<'switchReport'>, now: number): Report => {
	const prices = input.prices ?? input.pricing ?? null;
	const timing = input.timing ?? null;
	const at = (...times: Array<number | null | undefined>): number | null => {
		for (const time of times) {
			const known = plausible(time, now);
			if (known !== null) return known;
		}
		return null;
	};
	const oldSide = side(input.old_instance);
	const newSide = side(input.new_instance);
	const success = input.success !== false;
	const newId = input.new_instance?.instance_id ?? input.new_instance_id;
	if (success && (newId === null || !/^i-[\x21-\x7e]{1,62}$/.test(newId))) {
		throw new SpotError(
			'invalid',
			'VALIDATION_ERROR',
			'the report names no new machine: new_instance.instance_id is missing or no i-… id',
			{
				extras: { details: { new_instance: ['instance_id is required when the switch succeeded'] } },
			},
		);
	}
	const onDemand = priceMicros(prices?.on_demand ?? input.ondemand_price);
	const oldSpot = oldSide.mode === 'ondemand' ? null : priceMicros(prices?.old_spot ?? input.old_price);
	const newSpot = newSide.mode === 'ondemand' ? null : priceMicros(prices?.new_spot ?? input.new_price);
	const initiated = at(timing?.switch_initiated_at, timing?.initiated_at);
	const ready = at(timing?.new_instance_ready_at, timing?.instance_ready_at);
	const traffic = at(timing?.traffic_switched_at);
	const ended = at(timing?.old_instance_terminated_at, timing?.old_terminated_at);
	const stopped = Math.min(traffic ?? Number.POSITIVE_INFINITY, ended ?? Number.POSITIVE_INFINITY);
	const downtime = ready !== null && Number.isFinite(stopped) ? Math.max(0, ready - stopped) : null;
	return {
		commandId: input.command_id,
		oldId: input.old_instance?.instance_id ?? input.old_instance_id,
		newId,
		old: oldSide,
		new: newSide,
		success,
		error: input.error_message,
		trigger: triggerOf(input.trigger),
		oldTerminatedAt: ended ?? (timing?.old_instance_terminated_at || timing?.old_terminated_at ? now : null),
		record: {
			old_mode: oldSide.mode,
			new_mode: newSide.mode,
			old_pool_id: oldSide.poolId,
			new_pool_id: newSide.poolId,
			old_spot_micros: oldSpot,
			new_spot_micros: newSpot,
			ondemand_micros: onDemand,
			impact_micros: impactOf(oldSpot, newSpot, onDemand, oldSide.mode, newSide.mode),
			initiated_at: initiated,
			launched_at: at(timing?.new_instance_launched_at, timing?.instance_launched_at),
			ready_at: ready,
			traffic_at: traffic,
			old_terminated_at: ended,
			ami_created_at: at(timing?.ami_created_at),
			duration_ms: seconds(input.total_duration_seconds) ?? (ready !== null && initiated !== null ? Math.max(0, ready - initiated) : null),
			downtime_ms: seconds(input.downtime_seconds) ?? downtime,
			snapshot_id: input.snapshot?.snapshot_id ?? input.snapshot?.ami_id ?? null,
			error_message: input.error_message,
		},
	};
};

const seconds = (value: number | null | undefined): number | null =>
	value === null || value === undefined ? null : Math.round(value * 1000);

/** The columns a report knows, without those it leaves open. */
export const known = (record: Partial<SwitchRecord>): Partial<SwitchRecord> =>
	Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null && value !== undefined));

/**
 * Which claimed command of a host a report is about: the one it names, else the newest that left the reported machine for the reported
 * mode and pool; open ones first. `claims` is newest first.
 */
export const commandOf = (claims: readonly Command[], report: Report): Command | null => {
	const named = claims.find((command) => command.id === report.commandId);
	if (named !== undefined) return named;
	const fitting = claims.filter(
		(command) =>
			command.command_type === 'switch' &&
			(report.oldId === null || report.oldId === command.instance_id) &&
			(report.new.mode === null || command.target_mode === null || report.new.mode === command.target_mode) &&
			(report.new.poolId === null || command.target_pool_id === null || report.new.poolId === command.target_pool_id),
	);
	return (
		fitting.find((command) => command.status === 'claimed') ??
		fitting.find((command) => command.new_instance_id === report.newId) ??
		fitting.find((command) => command.awaits_machine === 1) ??
		fitting[0] ??
		null
	);
};
