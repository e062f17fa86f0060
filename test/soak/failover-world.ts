import { setTimeout as delay } from 'node:timers/promises';
import { httpApi } from '../../src/contract/http-client.ts';
import type { Api } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import { SimClock } from '../../src/fleet/clock.ts';
import { Ec2 } from '../../src/fleet/ec2.ts';
import { Ec2Error } from '../../src/fleet/ec2-types.ts';
import type { Faults } from '../../src/fleet/faults.ts';
import { createFleet, type Fleet } from '../../src/fleet/fleet.ts';
import { shiftFeed } from '../../src/fleet/prices.ts';
import { createRandom, type Random } from '../../src/fleet/random.ts';
import type { Call } from '../../src/fleet/transport.ts';

import { primaries } from './books.ts';
import { type Aim, createAim } from './crash-kills.ts';
import { type Eyes, openEyes } from './database.ts';
import { type FailoverBooks, failoverContradictions, followFailover, readFailoverBooks } from './failover-books.ts';
import { createFailoverWitness, type FailoverWitness } from './failover-witness.ts';
import { type Market, REGION } from './market.ts';
import { createDaemonProcess, type DaemonProcess } from './process.ts';
import type { Agents, TerminateCall } from './spine-world.ts';

/** Requests a kill can be aimed at. */
export type NoticeTarget = 'register' | 'order' | 'attach' | 'ready' | 'signal' | 'notice' | 'rebalance' | 'ended' | 'heartbeat';

export const NOTICE_TARGETS: readonly NoticeTarget[] = [
	'register',
	'order',
	'attach',
	'ready',
	'signal',
	'notice',
	'rebalance',
	'ended',
	'heartbeat',
];

const targetOf = ({ method, path, body }: Call): NoticeTarget | null => {
	if (path.endsWith('/register')) return 'register';
	if (path.endsWith('status=launching')) return 'order';
	if (method === 'PUT') return 'attach';
	if (path.endsWith('/status')) return body?.['status'] === 'ready' ? 'ready' : null;
	if (path.endsWith('/create-emergency-replica')) return 'signal';
	if (path.endsWith('/termination-imminent')) return 'notice';
	if (path.endsWith('/rebalance-recommendation')) return 'rebalance';
	if (path.endsWith('/termination-report')) return 'ended';
	return path.endsWith('/heartbeat') ? 'heartbeat' : null;
};

/** Built daemons on one database, and a fleet that talks to all of them; its time runs `speed` times as fast as theirs. */
export type FailoverWorld = {
	readonly daemons: readonly DaemonProcess[];
	readonly eyes: Eyes;
	readonly clock: SimClock;
	readonly ec2: Ec2;
	readonly fleet: Fleet;
	readonly witness: FailoverWitness;
	readonly aim: Aim<NoticeTarget>;
	readonly random: Random;
	readonly terminateCalls: readonly TerminateCall[];
	readonly clientId: string;
	/** What was wrong at any look so far. */
	readonly violations: string[];
	/** What the books said at the last look. */
	readonly books: FailoverBooks;
	/** Shown with every violation from now on. */
	phase: string;
	readonly counts: { requests: number; failed: number; looks: number; added: number };
	/** One call to whichever daemon answers; null when none does, when the answer was lost, and when the database is away. */
	ask<T>(call: (api: Api) => Promise<T>): Promise<T | null>;
	/** Looks at the books now. */
	look(): Promise<void>;
	/** Repeats `work` until the world closes; what it throws ends the run. */
	repeat(everyMs: number, work: () => Promise<void>): void;
	/** Throws what went wrong in the background. */
	alright(): void;
	/** Stops the fleet and the looks, and waits for them. */
	quiet(): Promise<void>;
	close(): Promise<void>;
};

export type FailoverOptions = {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	/** How many daemons serve. */
	readonly daemons: number;
	/** Simulated milliseconds of the fleet per real one. */
	readonly speed: number;
	/** Settings of the daemons, by variable. */
	readonly settings: Readonly<Record<string, string>>;
	readonly faults?: Partial<Faults>;
	readonly staggerMs?: number;
	/** False: looks leave out a database that does not answer. */
	readonly mustLook?: () => boolean;
};

const LOOK_MS = 300;
/** Roles that moved within this time before an answer cannot be held against it. */
const SLACK_MS = 1_500;
const MANY = 20;
const EMPTY: FailoverBooks = { agents: [], hosts: [], commands: [], replicas: [], emergencies: [], heldUntil: new Map() };

/** A duration of the product's default settings as a variable, for daemons whose fleet runs at `speed`. */
export const scaled = (seconds: number, speed: number, least = 1): string => `${Math.max(least, Math.round(seconds / speed))}s`;

/** The product's settings for a fleet at `speed`, as far as the least values allow. */
export const scaledSettings = (speed: number): Record<string, string> => ({
	SPOTCTL_AGENTS_HEARTBEAT_TIMEOUT: scaled(120, speed, 5),
	SPOTCTL_AGENTS_TERMINATE_WAIT: scaled(300, speed, 4),
	SPOTCTL_COMMANDS_LEASE: scaled(900, speed, 10),
	SPOTCTL_COMMANDS_EXPIRE_MANUAL: scaled(1_800, speed, 6),
	SPOTCTL_FAILOVER_SILENT_AFTER: scaled(180, speed, 6),
	SPOTCTL_FAILOVER_LAUNCH_WITHIN: scaled(45, speed, 5),
	SPOTCTL_FAILOVER_READY_WITHIN: scaled(60, speed, 5),
	SPOTCTL_FAILOVER_RETIRE_REPEATED: scaled(1_800, speed, 60),
	SPOTCTL_FAILOVER_RETIRE_SINGLE: scaled(7_200, speed, 60),
});

export const openFailoverWorld = async (options: FailoverOptions): Promise<FailoverWorld> => {
	const { databaseUrl, market, seed, agents, speed, settings, mustLook = () => true } = options;
	const random = createRandom(`failover ${seed}`);
	const undo: (() => unknown)[] = [];
	const stopping = new AbortController();
	const failures: unknown[] = [];
	const background: Promise<unknown>[] = [];
	const quiet = async (): Promise<void> => {
		stopping.abort();
		await Promise.all(background);
	};
	const close = async (): Promise<void> => {
		await quiet();
		for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
	};
	try {
		const daemons: DaemonProcess[] = [];
		for (let index = 0; index < options.daemons; index++) {
			const daemon = await createDaemonProcess(databaseUrl, settings);
			undo.push(() => daemon.dispose());
			daemons.push(daemon);
		}
		for (const daemon of daemons) {
			daemon.launch();
			await daemon.ready();
		}
		const eyes = openEyes(databaseUrl);
		undo.push(() => eyes.close());
		const [first] = daemons;
		if (first === undefined) throw new Error('there must be a daemon');
		const { client } = await httpApi(first.url, first.adminToken).createClient({ name: `failover-${seed}` });

		const witness = createFailoverWitness(() => Date.now(), SLACK_MS);
		const aim = createAim(targetOf);
		const start = Date.now();
		const clock = new SimClock({ start, realStamps: true });
		const feed = shiftFeed(market.feed, start - market.start);
		const zones = [...new Set(market.types.flatMap((type) => feed.zones(type)))].sort();
		const ec2 = new Ec2({ clock, random: random.fork('ec2'), zones });
		const terminateCalls: TerminateCall[] = [];
		const terminate = ec2.terminate.bind(ec2);
		ec2.terminate = (instanceId, by, reason) => {
			terminateCalls.push({ at: clock.now(), instanceId, by, reason });
			return terminate(instanceId, by, reason);
		};
		const counts = { requests: 0, failed: 0, looks: 0, added: 0 };
		const fleet = createFleet({
			baseUrl: first.url,
			fetcher: aim.fetcher(...daemons.map(({ url }) => url)),
			token: client.token,
			clock,
			ec2,
			prices: feed,
			type: market.types,
			region: REGION,
			seed,
			agents,
			staggerMs: options.staggerMs ?? 30_000,
			...(options.faults !== undefined && { faults: options.faults }),
			onRequest: (event) => {
				counts.requests++;
				if (event.outcome === 'failed') counts.failed++;
				witness.hear(event);
			},
		});
		undo.push(() => fleet.halt());

		const follow = followFailover();
		const violations: string[] = [];
		const seen = new Set<string>();
		let books = EMPTY;
		let looking = Promise.resolve();
		const lookOnce = async (): Promise<void> => {
			if (!mustLook()) return;
			const told = witness.take();
			const read = await readFailoverBooks(eyes.db).catch((error: unknown) => {
				if (mustLook()) throw error;
				return null;
			});
			if (read === null) return;
			books = read;
			counts.looks++;
			for (const text of [...failoverContradictions(books), ...follow(books), ...told(books)]) {
				// What does not go away is seen at every look.
				if (seen.has(text)) continue;
				seen.add(text);
				violations.push(`${world.phase}: ${text}${await explain(eyes, text)}`);
			}
			if (violations.length >= MANY) throw new Error(`seed ${seed}, too many violations:\n${violations.join('\n')}`);
		};

		const repeat = (everyMs: number, work: () => Promise<void>): void => {
			const loop = async (): Promise<void> => {
				while (!stopping.signal.aborted && failures.length === 0) {
					await work().catch((error: unknown) => failures.push(error));
					await delay(everyMs);
				}
			};
			background.push(loop());
		};

		const apis = daemons.map(({ url, adminToken }) => httpApi(url, adminToken, { timeoutMs: 10_000 }));
		const world: FailoverWorld = {
			daemons,
			eyes,
			clock,
			ec2,
			fleet,
			witness,
			aim,
			random,
			terminateCalls,
			clientId: client.id,
			violations,
			phase: `seed ${seed}, at the start`,
			counts,
			get books() {
				return books;
			},
			ask: async (call) => {
				for (const api of apis) {
					try {
						return await call(api);
					} catch (error) {
						if (!(error instanceof SpotError) || error.kind !== 'unavailable') throw error;
						// What broke on the way may have been done: only a refused connection may be repeated elsewhere.
						if (error.code !== 'DAEMON_UNREACHABLE') return null;
					}
				}
				return null;
			},
			look: () => {
				// One look after the other: an older one must not be compared with a newer one.
				looking = looking.then(lookOnce);
				return looking;
			},
			repeat,
			alright: () => {
				if (failures.length > 0) throw failures[0];
			},
			quiet,
			close,
		};
		fleet.start();
		background.push(clock.runRealTime(speed, stopping.signal).catch((error: unknown) => failures.push(error)));
		repeat(LOOK_MS, world.look);
		return world;
	} catch (error) {
		await close();
		throw error;
	}
};

/** The row of the emergency or replica that a violation is about, as it is now. */
export const explain = async ({ db }: Eyes, violation: string): Promise<string> => {
	const [, table, id = ''] = /\b(emergency|replica) ([0-9a-f-]{36})/.exec(violation) ?? [];
	if (table !== 'emergency' && table !== 'replica') return '';
	const row = await db.selectFrom(table).selectAll().where('id', '=', id).executeTakeFirst();
	const known = Object.entries(row ?? {}).flatMap(([name, value]): [string, unknown][] => {
		if (value === null) return [];
		if (name !== 'plan') return [[name, value]];
		return [
			[
				name,
				(JSON.parse(String(value)) as { at: number; step: string; choice: string; why: string }[]).map(
					({ at, step, choice, why }) => `${at} ${step}: ${choice} (${why})`,
				),
			],
		];
	});
	return ` ${JSON.stringify(Object.fromEntries(known)).slice(0, 3_000)}`;
};

/** Everything the books and EC2 know of the agent that a violation names by its logical id. */
export const explainAgent = ({ books, ec2 }: FailoverWorld, violation: string): string => {
	const [name = ''] = /\b(?:classic|v32|v4)-\d{4}\b/.exec(violation) ?? [];
	const agent = books.agents.find(({ logical_agent_id }) => logical_agent_id === name);
	if (agent === undefined) return '';
	const of = <T extends { readonly agent_id: string }>(rows: readonly T[]): readonly T[] =>
		rows.filter(({ agent_id }) => agent_id === agent.id);
	return [
		'',
		...of(books.hosts).map(
			({ instance_id, role, generation, hold, registered_at, zombie_at }) =>
				`host ${instance_id} ${role}, ${ec2.describe(instance_id).state}, generation ${generation}, hold ${hold}, registered ${registered_at}, zombie ${zombie_at}`,
		),
		...of(books.replicas).map(({ id, status, instance_id, error_message }) => `replica ${id} ${status} ${instance_id} ${error_message}`),
		...of(books.emergencies).map(
			({ id, kind, instance_id, outcome, received_at, message }) =>
				`emergency ${id} ${kind} of ${instance_id} at ${received_at}: ${outcome}, ${message}`,
		),
		...of(books.commands).map(
			({ id, status, outcome, instance_id, new_instance_id }) => `command ${id} ${status} ${outcome} ${instance_id} ${new_instance_id}`,
		),
		...ec2.instances
			.filter(({ image, id }) => image.logicalAgentId === name && !books.hosts.some((host) => host.instance_id === id))
			.map(({ id, state }) => `machine ${id} ${state}, in no books`),
	].join('\n      ');
};

/** Waits until `isDone` or `ms` have passed; false then. What went wrong meanwhile is thrown. */
export const until = async (world: FailoverWorld, ms: number, isDone: () => boolean): Promise<boolean> => {
	for (const end = performance.now() + ms; performance.now() < end; await delay(100)) {
		world.alright();
		if (isDone()) return true;
	}
	return isDone();
};

/** Turns the manual replica of an agent on. */
export const keepReplica = (world: FailoverWorld, agentId: string): Promise<unknown> =>
	world.ask((api) => api.changeConfig({ agent_id: agentId, manualReplicaEnabled: true }));

/** Agents whose replica is ready, with its machine. */
export const readyReplicas = ({ books }: FailoverWorld): ReadonlyMap<string, string> =>
	new Map(
		books.replicas.flatMap(({ agent_id, status, instance_id }) => (status === 'ready' && instance_id ? [[agent_id, instance_id]] : [])),
	);

/**
 * What an auto scaling group does: an agent none of whose machines is up or coming gets a new one; a zombie, which may be on hold, is none.
 * Without it the agents whose notice was lost before they had a replica would be gone for good, which is nobody's mistake.
 */
export const replaceTheDead = (world: FailoverWorld, which: (agentId: string) => boolean = () => true): void => {
	const { books, ec2, fleet } = world;
	const kinds = { classic: 'classic', v32: 'v32', v4: 'v4' } as const;
	const main = primaries(books);
	const past = new Set(books.hosts.flatMap(({ role, instance_id }) => (role === 'zombie' || role === 'ended' ? [instance_id] : [])));
	for (const { id, logical_agent_id: name } of books.agents) {
		if (!which(id)) continue;
		const machines = ec2.instances.filter(({ image, id: machine }) => image.logicalAgentId === name && !past.has(machine));
		if (machines.some(({ state }) => state === 'pending' || state === 'running')) continue;
		const kind = kinds[name.split('-')[0] as keyof typeof kinds];
		try {
			fleet.add({ kind, logicalAgentId: name, instanceType: main.get(id)?.instance_type ?? '' });
			world.counts.added++;
		} catch (error) {
			// No capacity in that zone: the next attempt draws another.
			if (!(error instanceof Ec2Error)) throw error;
		}
	}
};
