import type { Output, Valid } from '../contract/index.ts';
import { isoOr } from '../contract/instant.ts';
import { countEnded } from '../store/clients.ts';
import {
	agentsByStatus,
	clientsByDay,
	clientsNow,
	DAY_MS,
	fleetDays,
	forgetSamples,
	sampleAgents,
	samplesOf,
	saveFleetDay,
} from '../store/overview.ts';
import type { FleetDayTable } from '../store/tables/overview.ts';
import { type Caller, clientOf } from './caller.ts';
import type { Context } from './context.ts';
import { percentOf } from './percent.ts';

/** How often the clients are counted and the agents looked at. */
export const LOOK_MS = 5 * 60_000;
/** How long what was found by looking at agents is kept. */
const KEEP_DAYS = 400;

const dayOf = (at: number): number => at - (at % DAY_MS);

/**
 * The job behind growth and uptime: writes what the clients of this day are now, and looks once at the agents of every client. Answers how
 * many rows it wrote. A run more by hand is a look more.
 */
export const look = (context: Context): Promise<number> =>
	context.store.transact(async (tx) => {
		const now = context.clock.now();
		const day = dayOf(now);
		const { total, active, added } = await clientsNow(tx, day);
		await saveFleetDay(tx, { day, clients: total, active, added, taken_at: now });
		const sampled = await sampleAgents(tx, day);
		await forgetSamples.run(tx, { before: day - KEEP_DAYS * DAY_MS });
		return sampled + 1;
	});

/** How often the machines that have ended are counted. */
export const COUNT_MS = 60 * 60_000;
/** A machine's end may be booked this long after it: what is that young is counted again whenever somebody asks. */
const LATE_MS = 60_000;

/** The job behind the count of a client's ended machines. Answers how many clients have any. */
export const countMachines = (context: Context): Promise<number> =>
	context.store.transact((tx) => countEnded(tx, context.clock.now() - LATE_MS));

type Day = Output<'clientsGrowth'>['items'][number];
type Known = {
	/** Begin of today. */
	readonly today: number;
	readonly from: number;
	readonly now: { readonly total: number; readonly active: number; readonly added: number };
	readonly looks: readonly FleetDayTable[];
	readonly existing: { readonly before: number; readonly first: number | null; readonly added: ReadonlyMap<number, number> };
};

/** The series of the days of which something is known; what each number is stands with the operation. */
export const growthOf = ({ today, from, now, looks, existing }: Known): Day[] => {
	const byDay = new Map(looks.map((look) => [look.day, look]));
	const firsts = [looks[0]?.day, existing.first === null ? undefined : dayOf(existing.first), today];
	const first = Math.max(from, Math.min(...firsts.filter((day) => day !== undefined)));
	const days: Day[] = [];
	let created = existing.before;
	for (let day = from; day <= today; day += DAY_MS) {
		const added = existing.added.get(day) ?? 0;
		created += added;
		if (day < first) continue;
		const look = byDay.get(day);
		const date = new Date(day).toISOString().slice(0, 10);
		if (day === today) {
			const more = Math.max(now.added, look?.added ?? 0);
			days.push({ date, total: now.total, new: more, active: now.active, count: now.total, activeKnown: true, source: 'now' });
		} else if (look !== undefined) {
			const { clients: total, active } = look;
			days.push({ date, total, new: look.added, active, count: total, activeKnown: true, source: 'snapshot' });
		} else days.push({ date, total: created, new: added, active: 0, count: created, activeKnown: false, source: 'derived' });
	}
	return days;
};

/** #3. Four statements. */
export const clientsGrowth =
	(context: Context) =>
	async ({ days }: Valid<'clientsGrowth'>): Promise<Output<'clientsGrowth'>> => {
		const { read } = context.store;
		const today = dayOf(context.clock.now());
		const from = today - (days - 1) * DAY_MS;
		const [now, looks, existing] = await Promise.all([clientsNow(read, today), fleetDays.all(read, { from }), clientsByDay(read, from)]);
		return { items: growthOf({ today, from, now, looks, existing }), nextCursor: null };
	};

/** X36. Two statements. */
export const uptimeStats =
	(context: Context) =>
	async (input: Valid<'uptimeStats'>, caller: Caller): Promise<Output<'uptimeStats'>> => {
		const clientId = clientOf(caller, input.client_id);
		const { read } = context.store;
		const from = dayOf(context.clock.now()) - (input.days - 1) * DAY_MS;
		const [found, counts] = await Promise.all([samplesOf(read, clientId, from), agentsByStatus(read, clientId)]);
		const share = found.agents === 0 ? null : percentOf(found.online, found.agents);
		return {
			uptime_percentage: share,
			reason: share === null ? 'nobody has looked at an agent of this client in this time' : null,
			since: isoOr(found.first),
			samples: found.samples,
			sample_seconds: LOOK_MS / 1000,
			total_agents: [...counts].reduce((sum, [status, count]) => (status === 'deleted' ? sum : sum + count), 0),
			online_agents: counts.get('online') ?? 0,
		};
	};
