import { coordinate } from './coordinator.ts';
import { countHeartbeats, HEARTBEAT_MS } from './heartbeats.ts';
import { pruneAnswers } from './idempotency.ts';
import { keepLedger } from './ledger.ts';
import { sumPriceHours } from './price-hours.ts';
import { retain } from './retention-job.ts';
import type { Job } from './scheduler.ts';
import { sweepCommands, sweepEmergencies, sweepOffline, sweepTerminations } from './sweeps.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** What a daemon does beside answering, each by one daemon at a time. */
export const JOBS: readonly Job[] = [
	{
		name: 'offline',
		summary: 'Marks agents offline that fell silent, and lets a live candidate take over',
		everyMs: 2 * SECOND,
		run: sweepOffline,
	},
	{
		name: 'commands',
		summary: 'Ends commands that nobody fetched in time, and claims without evidence',
		everyMs: 2 * SECOND,
		run: sweepCommands,
	},
	{
		name: 'coordinator',
		summary: 'Does what is due for agents in an emergency or with a replica: promotes, orders, retires, confirms',
		everyMs: 2 * SECOND,
		run: coordinate,
	},
	{
		name: 'heartbeats',
		summary: 'Counts the heartbeats that are owed and those that are missing, for /metrics',
		everyMs: HEARTBEAT_MS,
		run: countHeartbeats,
	},
	{
		name: 'ledger',
		summary: 'Books what machines cost and would have cost on demand, from what has become true since its last run',
		everyMs: 10 * SECOND,
		run: keepLedger,
	},
	{
		name: 'terminations',
		summary: 'Tells of machines that were to end an hour ago and still run',
		everyMs: MINUTE,
		run: sweepTerminations,
	},
	{
		name: 'emergencies',
		summary: 'Looks again at emergencies, and at replicas that get ready, for which nothing is due',
		everyMs: MINUTE,
		run: sweepEmergencies,
	},
	{
		name: 'price-hours',
		summary: 'Sums clean prices by hour, for long charts',
		everyMs: 10 * MINUTE,
		run: sumPriceHours,
	},
	{ name: 'changes', summary: 'Forgets old entries of the change log', everyMs: MINUTE, run: ({ feed, store }) => feed.prune(store) },
	{ name: 'answers', summary: 'Forgets answers that were kept for repeated requests', everyMs: MINUTE, run: pruneAnswers },
	{
		// Every hour: what an hour makes old is little, so that no run has a day's rows to delete at once, at whatever time of the fleet's day.
		name: 'retention',
		summary: 'Deletes rows that are older than the settings say, in small batches',
		everyMs: 60 * MINUTE,
		run: retain,
	},
];
