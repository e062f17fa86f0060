import type { RequestEvent } from '../../src/fleet/fleet.ts';
import { type Books, contradictions, followCommands, openCommands, readBooks } from './books.ts';
import type { Market } from './market.ts';
import { createPriceWitness, createReportWitness, finalChecks } from './spine-checks.ts';
import { createOperator, type Jobs } from './spine-jobs.ts';
import { type Agents, openSpineWorld } from './spine-world.ts';
import { createWitness } from './witness.ts';

/** "Show it" 2 of the issue: a fleet, forced switches, and what must hold after every event and at the end. */
export type SpineOptions = {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	readonly jobs: Jobs;
	/** How long old machines run on, with every agent; as shipped when absent. */
	readonly terminateWaitSeconds?: number;
	/** Real milliseconds after which it gives up. */
	readonly timeLimit?: number;
};

export type SpineResult = {
	readonly violations: readonly string[];
	/** Commands by what was asked for and how they ended. */
	readonly outcomes: Readonly<Record<string, number>>;
	readonly counts: Readonly<Record<string, number>>;
	readonly simulatedMs: number;
	readonly realMs: number;
};

export const FULL_AGENTS: Agents = { classic: 20, v32: 20, v4: 20 };
export const FULL_JOBS: Jobs = { terminating: 30, keeping: 30, 'no capacity': 5, dying: 5 };
export const SHORT_AGENTS: Agents = { classic: 5, v32: 4, v4: 2 };
export const SHORT_JOBS: Jobs = { terminating: 2, keeping: 2, 'no capacity': 1, dying: 1 };
/** Half the simulated time of the full form is waiting for machines to end. */
export const SHORT_WAIT_SECONDS = 120;

const MINUTE = 60_000;
/** After the last command ended and the terminate wait is over: two polls of the list, one confirmation. */
const AFTERMATH_MS = 3 * MINUTE;
/** Enough for the worst end of the last command: 20 minutes of lease. */
const TAIL_MS = 45 * MINUTE;
const MANY = 20;

export const runSpine = async (options: SpineOptions): Promise<SpineResult> => {
	const { databaseUrl, market, seed, agents, jobs, terminateWaitSeconds = 300, timeLimit = 10 * MINUTE } = options;
	const began = performance.now();
	const violations: string[] = [];
	const prices = createPriceWitness();
	const reports = createReportWitness();
	let now = (): number => 0;
	const witness = createWitness(() => now(), 0);
	const follow = followCommands();
	let events = 0;
	let checks = 0;
	let requests = 0;

	const world = await openSpineWorld({
		databaseUrl,
		market,
		seed,
		agents,
		terminateWaitSeconds,
		onRequest: (event: RequestEvent) => {
			requests++;
			for (const listener of [witness, prices, reports]) listener.hear(event);
		},
	});
	const { clock } = world;
	now = () => clock.now();
	const operator = createOperator(world, jobs);
	let looked = '';
	let books: Books = { agents: [], hosts: [], commands: [] };
	try {
		clock.onEvent = async ({ at, name }) => {
			events++;
			// Nothing can have changed, and nobody can have been told anything, when no transaction ended and no request was answered.
			const state = `${world.transactions()} ${requests} ${world.ec2.ledger.length}`;
			if (state === looked) return;
			looked = state;
			checks++;
			const told = witness.take();
			books = await readBooks(world.eyes.db);
			const found = [...contradictions(books), ...follow(books), ...told(books), ...operator.look(books)];
			if (found.length === 0) return;
			const when = `${Math.round((at - market.start) / 1_000)} s, after ${name}`;
			violations.push(...found.map((text) => `${when}: ${text}`));
			if (violations.length >= MANY) throw new Error(`too many violations:\n${violations.join('\n')}`);
		};
		for (const fleet of world.fleets) fleet.start();
		operator.start();
		let quietSince = Infinity;
		const total = Object.values(jobs).reduce((sum, count) => sum + count, 0);
		for (
			let until = market.start + total * MINUTE + TAIL_MS;
			clock.now() < until && clock.now() < quietSince + terminateWaitSeconds * 1_000 + AFTERMATH_MS;
		) {
			await clock.runFor(10_000);
			if (quietSince === Infinity && operator.isDone && openCommands(books).length === 0) quietSince = clock.now();
			if (performance.now() - began > timeLimit) throw new Error(`not done after ${timeLimit / 1_000} s; seed ${seed}`);
		}
		if (quietSince === Infinity)
			violations.push(`${openCommands(books).length} commands are still open, ${operator.jobs.length} of ${total} were forced`);
		violations.push(...(await finalChecks(world, operator.jobs, witness, reports)), ...(await prices.compare(world)));
		if (operator.refusals !== agents.v4) violations.push(`${operator.refusals} of ${agents.v4} v4-only agents were refused`);
		violations.push(
			...world
				.troubles()
				.slice(0, 3)
				.map((line) => `the daemon logged ${line.slice(0, 600)}`),
		);

		const outcomes: Record<string, number> = {};
		const commands = new Map(books.commands.map((command) => [command.id, command]));
		for (const { kind, commandId } of operator.jobs) {
			const command = commands.get(commandId);
			const key = `${kind}: ${command?.status}/${command?.outcome}`;
			outcomes[key] = (outcomes[key] ?? 0) + 1;
		}
		const roles: Record<string, number> = {};
		for (const { role } of books.hosts) roles[role] = (roles[role] ?? 0) + 1;
		const { raw, clean } = prices.counts();
		const { ledger } = world.ec2;
		return {
			violations,
			outcomes,
			counts: {
				requests,
				events,
				checks,
				...roles,
				launches: ledger.filter(({ kind }) => kind === 'launch').length,
				refused: ledger.filter(({ kind }) => kind === 'refused').length,
				terminated: ledger.filter(({ kind }) => kind === 'terminate').length,
				'switch reports': reports.size,
				'early timers': clock.stats.stalls,
				'v4 refused': operator.refusals,
				'lists read': witness.answers.lists,
				'machines listed': witness.answers.listed,
				'raw prices': raw,
				'clean prices': clean,
			},
			simulatedMs: clock.now() - market.start,
			realMs: performance.now() - began,
		};
	} finally {
		await world.close();
	}
};
