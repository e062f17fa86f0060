import { setTimeout as delay } from 'node:timers/promises';
import { httpApi } from '../../src/contract/http-client.ts';
import { SimClock } from '../../src/fleet/clock.ts';
import { Ec2 } from '../../src/fleet/ec2.ts';
import { createFleet, type RequestEvent } from '../../src/fleet/fleet.ts';
import { shiftFeed } from '../../src/fleet/prices.ts';
import { createRandom } from '../../src/fleet/random.ts';
import { type Books, contradictions, followCommands, openCommands, readBooks } from './books.ts';
import { accounts, unsettled } from './crash-checks.ts';
import { crashTarget, createAim, drawMoment, type Moment, waitExactly } from './crash-kills.ts';
import { createCrashOperator } from './crash-operator.ts';
import { openEyes } from './database.ts';
import { createFacts } from './facts.ts';
import { type Market, REGION } from './market.ts';
import { createDaemonProcess } from './process.ts';
import { type Agents, KEEPER, type TerminateCall } from './spine-world.ts';
import { createWitness } from './witness.ts';

/** "Show it" 3 of the issue: the built daemon killed with -9 again and again under a fleet that switches all the time. */
export type CrashOptions = {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	readonly kills: number;
	/** Simulated milliseconds of the fleet per real one. */
	readonly speed?: number;
	/** Real milliseconds after which it kills no more. */
	readonly timeLimit?: number;
	/** Hears of every kill. */
	readonly onKill?: (kill: number, moment: Moment) => void;
};

export type CrashResult = {
	readonly violations: readonly string[];
	/** Commands by how they ended. */
	readonly outcomes: Readonly<Record<string, number>>;
	/** Answers that were taken note of and found again. */
	readonly answers: Readonly<Record<string, number>>;
	/** What had been done, by kind, though its answer was lost. */
	readonly unheard: Readonly<Record<string, number>>;
	readonly counts: Readonly<Record<string, number>>;
	readonly realMs: number;
};

export const CRASH_AGENTS: Agents = { classic: 20, v32: 20, v4: 20 };
export const SHORT_CRASH_AGENTS: Agents = { classic: 6, v32: 4, v4: 2 };

/** Real time, of which the fleet sees `speed` times as much: a switch takes it about five seconds, the wait of 3.2 included. */
const SETTINGS = {
	SPOTCTL_AGENTS_HEARTBEAT_TIMEOUT: '5s',
	SPOTCTL_AGENTS_TERMINATE_WAIT: '4s',
	SPOTCTL_COMMANDS_LEASE: '10s',
	SPOTCTL_COMMANDS_EXPIRE_MANUAL: '6s',
};
/** Every command has ended, and every machine that must end, this long after the last kill. */
const SETTLE_MS = 60_000;
/** Roles that moved within this time before an answer cannot be held against it. */
const SLACK_MS = 1_500;
const CHECK_MS = 250;
const OPERATOR_MS = 150;
const MANY = 20;

export const runCrashes = async (options: CrashOptions): Promise<CrashResult> => {
	const { databaseUrl, market, seed, agents, kills, speed = 30, timeLimit = Infinity, onKill } = options;
	const began = performance.now();
	const random = createRandom(`crash ${seed}`);
	const violations: string[] = [];
	const witness = createWitness(() => Date.now(), SLACK_MS);
	const follow = followCommands();
	const facts = createFacts();
	let requests = 0;
	let failed = 0;

	const daemon = await createDaemonProcess(databaseUrl, SETTINGS);
	const undo: (() => unknown)[] = [() => daemon.dispose()];
	const stopping = new AbortController();
	try {
		daemon.launch();
		await daemon.ready();
		const eyes = openEyes(databaseUrl);
		undo.push(() => eyes.close());
		const { client } = await httpApi(daemon.url, daemon.adminToken).createClient({ name: 'crash' });

		const start = Date.now();
		const clock = new SimClock({ start });
		const feed = shiftFeed(market.feed, start - market.start);
		const zones = [...new Set(market.types.flatMap((type) => feed.zones(type)))].sort();
		const ec2 = new Ec2({ clock, random: random.fork('ec2'), zones });
		const terminateCalls: TerminateCall[] = [];
		const terminate = ec2.terminate.bind(ec2);
		ec2.terminate = (instanceId, by, reason) => {
			terminateCalls.push({ at: clock.now(), instanceId, by, reason });
			return terminate(instanceId, by, reason);
		};
		let expecting: ReadonlySet<string> = new Set();
		const aim = createAim((call) => crashTarget(call, expecting));
		const keepers = Math.floor(agents.v32 / 2);
		const shared = {
			baseUrl: daemon.url,
			token: client.token,
			clock,
			ec2,
			prices: feed,
			type: market.types,
			region: REGION,
			faults: { diesBeforeReport: 0.5, saysOfflineOnTermination: 0.3, crashEveryMs: 3_600_000, launchFailure: 0.06 },
			onRequest: (event: RequestEvent) => {
				requests++;
				if (event.outcome === 'failed') failed++;
				witness.hear(event);
				facts.hear(event);
			},
		};
		const fleets = [
			createFleet({
				...shared,
				seed: `${seed}/shipped`,
				agents: { ...agents, v32: agents.v32 - keepers },
				fetcher: aim.fetcher(daemon.url),
			}),
			createFleet({
				...shared,
				seed: `${seed}/keepers`,
				agents: { v32: keepers },
				logicalAgentId: (_, index) => `${KEEPER}-${String(index + 1).padStart(4, '0')}`,
				settings: { v32: { autoTerminateOldInstance: false } },
				fetcher: aim.fetcher(daemon.url),
			}),
		];
		for (const fleet of fleets) fleet.start();
		const operator = createCrashOperator({
			url: daemon.url,
			adminToken: daemon.adminToken,
			clientId: client.id,
			eyes,
			ec2,
			facts,
			random: random.fork('operator'),
			onForce: () => aim.saw('force-switch'),
		});
		expecting = operator.expecting;

		let books: Books = { agents: [], hosts: [], commands: [] };
		let phase = 'before the first kill';
		let checks = 0;
		let looking = Promise.resolve();
		const lookOnce = async (): Promise<void> => {
			checks++;
			const told = witness.take();
			books = await readBooks(eyes.db);
			violations.push(...[...contradictions(books), ...follow(books), ...told(books)].map((text) => `${phase}: ${text}`));
			if (violations.length >= MANY) throw new Error(`seed ${seed}, too many violations:\n${violations.join('\n')}`);
		};
		/** One look after the other: an older one must not be compared with a newer one. */
		const look = (): Promise<void> => {
			looking = looking.then(lookOnce);
			return looking;
		};

		/** Runs until it is told to stop; what it throws ends the whole run. */
		const failures: unknown[] = [];
		let isSwitching = true;
		const repeat = async (everyMs: number, isOn: () => boolean, work: () => Promise<void>): Promise<void> => {
			while (!stopping.signal.aborted && failures.length === 0) {
				if (isOn()) await work().catch((error: unknown) => failures.push(error));
				await delay(everyMs);
			}
		};
		const background = [
			clock.runRealTime(speed, stopping.signal).catch((error: unknown) => failures.push(error)),
			repeat(OPERATOR_MS, () => isSwitching, operator.turn),
			repeat(CHECK_MS, () => true, look),
		];
		undo.push(async () => {
			stopping.abort();
			await Promise.all(background);
			for (const fleet of fleets) await fleet.halt();
		});
		const alright = (): void => {
			if (failures.length > 0) throw failures[0];
		};

		/** The daemon is dead: everything it answered must be in the database. */
		const afterDeath = async (all: boolean): Promise<void> => {
			await aim.drained();
			violations.push(...(await facts.missing(eyes.db, all)).map((text) => `${phase}: ${text}`));
			await look();
		};

		await delay(2_000);
		let killed = 0;
		let aimed = 0;
		let starting = 0;
		let torn = 0;
		for (; killed < kills && performance.now() - began < timeLimit; ) {
			const moment = drawMoment(random);
			if (moment.kind !== 'aimed') await delay(moment.afterMs);
			else if (await aim.sighted(moment.at)) {
				aimed++;
				await waitExactly(moment.afterMs);
			}
			torn += aim.flying;
			await daemon.kill();
			killed++;
			phase = `seed ${seed}, after kill ${killed} (${moment.kind === 'aimed' ? `aimed at ${moment.at}` : moment.kind} + ${moment.afterMs} ms)`;
			onKill?.(killed, moment);
			alright();
			await afterDeath(false);
			daemon.launch();
			// The next life ends before it serves now and then.
			const next = killed < kills ? drawMoment(random) : null;
			if (next?.kind === 'startup') {
				await delay(next.afterMs);
				await daemon.kill();
				killed++;
				starting++;
				onKill?.(killed, next);
				await afterDeath(false);
				daemon.launch();
			}
			await daemon.ready();
		}

		isSwitching = false;
		const settling = performance.now();
		let left: string[] = [];
		const world = { ec2, fleets, terminateCalls, witness };
		do {
			await delay(500);
			alright();
			left = unsettled(world, books);
		} while (left.length > 0 && performance.now() - settling < SETTLE_MS);
		phase = `seed ${seed}, at the end`;
		violations.push(...left.map((text) => `${phase}: ${text} ${SETTLE_MS / 1_000} s after the last kill`));
		stopping.abort();
		await Promise.all(background);
		alright();
		const code = await daemon.stop();
		if (code !== 0) violations.push(`the daemon ended with ${code} after SIGTERM`);
		await afterDeath(true);
		violations.push(...(await accounts(world, books, eyes.db)).map((text) => `${phase}: ${text}`));
		violations.push(...operator.refusals.slice(0, 5), ...daemon.troubles().slice(0, 5));

		const outcomes: Record<string, number> = {};
		for (const { status, outcome } of books.commands) outcomes[`${status}/${outcome}`] = (outcomes[`${status}/${outcome}`] ?? 0) + 1;
		const roles: Record<string, number> = {};
		for (const { role } of books.hosts) roles[role] = (roles[role] ?? 0) + 1;
		return {
			violations,
			outcomes,
			answers: facts.counts(),
			unheard: await facts.unheard(eyes.db),
			counts: {
				kills: killed,
				'aimed and hit': aimed,
				'while starting': starting,
				requests,
				'without answer': failed,
				'torn by kills': torn,
				checks,
				commands: books.commands.length,
				open: openCommands(books).length,
				launches: ec2.ledger.filter(({ kind, by }) => kind === 'launch' && by.kind === 'agent').length,
				...roles,
				'no capacity': ec2.ledger.filter(({ kind }) => kind === 'refused').length,
				'struck down': operator.counts.struck,
				'operator unanswered': operator.counts.unanswered,
				'operator refused': operator.counts.refused,
				'settled after ms': Math.round(performance.now() - settling),
			},
			realMs: performance.now() - began,
		};
	} finally {
		stopping.abort();
		for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
	}
};
