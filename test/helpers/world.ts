import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { sql } from 'kysely';
import { createApp } from '../../daemon/app.ts';
import { createSystemHandlers } from '../../daemon/system.ts';
import { type Input, iso, type Name, type Output, operations } from '../../src/contract/index.ts';
import { type Operation, pathParameters } from '../../src/contract/operation.ts';
import type { Caller, CoreName, Handler } from '../../src/core/caller.ts';
import { type Core, type CoreSettings, createCore } from '../../src/core/index.ts';
import { JOBS } from '../../src/core/jobs.ts';
import type { Job } from '../../src/core/scheduler.ts';
import type { PostWebhook } from '../../src/core/webhook-post.ts';
import { type Clock, type Ids, systemClock } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { type Log, openLog } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { addPools } from '../../src/store/prices.ts';
import { createManualClock } from './manual-clock.ts';
import { prepare } from './schema.ts';
import { CORE_SETTINGS } from './settings.ts';

export const ADMIN = 'spa_kD83nsLq0vXcW5tZ7yRb2mHf';
export const ZONES = ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1d'] as const;
/** The pool of the machines here in a zone. */
export const pool = (zone: 'a' | 'b' | 'c' | 'd'): string => `c5.large.us-east-1${zone}`;

type Problem = {
	readonly code?: string;
	readonly error?: string | null;
	readonly primary?: string | null;
	readonly command_id?: string | null;
};

/** An answer: of a success everything the operation declares, of a failure the envelope's keys. Of a list, the items in `data`. */
export type Reply<N extends Name> = {
	readonly status: number;
	readonly body: Output<N> & Problem & { readonly data: Output<N> };
};

export type Call = <const N extends Name>(name: N, input: Input<N>, headers?: Readonly<Record<string, string>>) => Promise<Reply<N>>;

/** A target of a forced switch: a zone means its pool. */
export type Target = 'a' | 'b' | 'c' | 'd' | 'ondemand';

type Machine = Partial<Omit<Input<'registerHost'>, 'instance_id'>>;

/** Everything a holder of one token can ask for here. Ids are handles unless they are called otherwise. */
export type Actor = {
	readonly token: string;
	readonly call: Call;
	register(instanceId: string, machine?: Machine): Promise<Reply<'registerHost'>>;
	heartbeat(handle: string, more?: object): Promise<Reply<'heartbeat'>>;
	config(handle: string): Promise<Reply<'readConfig'>>;
	probe(handle: string): Promise<Reply<'probeAgent'>>;
	poll(handle: string): Promise<Reply<'pendingCommands'>>;
	/** The report of a finished switch, as the classic agent sends it. */
	report(handle: string, newInstanceId: string, more?: object): Promise<Reply<'switchReport'>>;
	ack(handle: string, commandId: string, success?: boolean | null): Promise<Reply<'commandExecuted'>>;
	mark(handle: string, commandId: string, more?: object): Promise<Reply<'markCommandExecuted'>>;
	terminations(handle: string): Promise<Reply<'instancesToTerminate'>>;
	terminated(handle: string, instanceId: string, success?: boolean): Promise<Reply<'terminationReport'>>;
	prices(handle: string, prices: Readonly<Record<string, number>>): Promise<Reply<'pricingReport'>>;
	force(instanceId: string, target: Target, more?: object): Promise<Reply<'forceSwitch'>>;
	cancel(commandId: string): Promise<Reply<'cancelCommand'>>;
	command(commandId: string): Promise<Reply<'showCommand'>>;
	toggle(handle: string, enabled: boolean): Promise<Reply<'toggleAgent'>>;
	remove(agentId: string): Promise<Reply<'deleteAgent'>>;
	restore(handle: string): Promise<Reply<'restoreAgent'>>;
	hold(instanceId: string, hold: boolean): Promise<Reply<'holdInstance'>>;
	agent(handle: string): Promise<Reply<'showAgent'>>;
};

export type ClientActor = Actor & { readonly id: string; readonly name: string };

/** A daemon of the world: the real core behind the real HTTP face, without a socket. */
export type WorldDaemon = {
	readonly core: Core;
	readonly store: Store;
	/** The process is stopped by a signal, and goes on: meanwhile no timer of it fires. */
	pause(): void;
	wake(): void;
	readonly send: (token: string, name: Name, input: object, headers: object) => Promise<Sent>;
	/** What /metrics answers; not in a `direct` world. */
	scrape(): Promise<string>;
	/** A poll whose connection closes before the answer is written, which the daemon can see. */
	pollLost(client: ClientActor, handle: string): Promise<void>;
};

/** A handle that was given: to whom and for which machine. */
export type Given = { readonly client: ClientActor; readonly instanceId: string; readonly handle: string };

export type World = {
	now(): number;
	advance(ms: number, step?: number): Promise<void>;
	readonly store: Store;
	readonly daemons: readonly WorldDaemon[];
	/** Another daemon on the same database. */
	addDaemon(): Promise<WorldDaemon>;
	/** A new process on the same database: the old one stopped in order, or killed with what it had buffered. */
	restart(index?: number, how?: 'stop' | 'kill'): Promise<void>;
	/** Nobody serves from now until {@link World.restart}. */
	stop(index?: number, how?: 'stop' | 'kill'): Promise<void>;
	/** Which daemon the requests go to. */
	use(index: number): void;
	client(name?: string): Promise<ClientActor>;
	actor(token: string): Actor;
	readonly admin: Actor;
	/** Every handle that a registration answered. */
	readonly given: Given[];
	/** The statements of a piece of work, without those that begin and end transactions. */
	statements(work: () => Promise<unknown>): Promise<string[]>;
	close(): Promise<void>;
};

export type WorldOptions = {
	readonly settings?: Partial<CoreSettings>;
	readonly start?: number;
	/** Calls reach the handlers after validation, without HTTP: for runs in the thousands. */
	readonly direct?: boolean;
	/** Background jobs instead of those of the product. */
	readonly jobs?: readonly Job[];
	/** How webhooks are called; left out, none is. */
	readonly postWebhook?: PostWebhook;
};

const MACHINE = {
	instance_type: 'c5.large',
	region: 'us-east-1',
	az: 'us-east-1a',
	mode: 'spot',
	ami_id: 'ami-1',
	agent_version: '4.0.0',
	hostname: 'host',
	private_ip: '10.0.0.1',
	public_ip: null,
};

/** UUIDs in a row: the same calls give the same ids. */
const countingIds = (): Ids => {
	let count = 0;
	const next = (): string => (++count).toString(16).padStart(12, '0');
	return { uuid: () => `00000000-0000-4000-8000-${next()}`, token: (prefix) => `${prefix}${next().repeat(4).slice(0, 43)}` };
};

const requestOf = (operation: Operation, input: Readonly<Record<string, unknown>>): InjectOptions => {
	const inPath = pathParameters(operation.path);
	const url = operation.path.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(String(input[name])));
	const rest = Object.fromEntries(Object.entries(input).filter(([name, value]) => !inPath.includes(name) && value !== undefined));
	if (operation.method !== 'GET' && operation.method !== 'DELETE') return { method: operation.method, url, payload: rest };
	return { method: operation.method, url, query: Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)])) };
};

/** Counts what is under way in a store, so that a test can wait for work that nobody else awaits. */
const watchWork = (store: Store): { store: Store; idle(): boolean } => {
	let running = 0;
	const counted = async <T>(work: () => Promise<T>): Promise<T> => {
		running++;
		try {
			return await work();
		} finally {
			running--;
		}
	};
	for (const db of new Set([store.read, store.ddl])) {
		const executor = db.getExecutor();
		const original = executor.provideConnection.bind(executor);
		executor.provideConnection = (consumer) => counted(() => original(consumer));
	}
	const { transact, transactShared, transactTogether } = store;
	return {
		store: {
			...store,
			transact: (work, lane) => counted(() => transact(work, lane)),
			transactShared: transactShared === null ? null : (works, last) => counted(() => transactShared(works, last)),
			transactTogether: (calls) => counted(() => transactTogether(calls)),
		},
		idle: () => running === 0,
	};
};

const silent = async () => (await openLog({ level: 'silent', format: 'json', stream: process.stderr, now: systemClock.now })).log;

const createActor = (token: string, call: Call, now: () => number): Actor => ({
	token,
	call,
	register: (instanceId, machine = {}) => call('registerHost', { ...MACHINE, instance_id: instanceId, ...machine }),
	heartbeat: (handle, more = {}) => call('heartbeat', { agent_id: handle, status: 'online', ...more }),
	config: (handle) => call('readConfig', { agent_id: handle }),
	probe: (handle) => call('probeAgent', { agent_id: handle }),
	poll: (handle) => call('pendingCommands', { agent_id: handle }),
	report: (handle, newInstanceId, more = {}) =>
		call('switchReport', { agent_id: handle, new_instance: { instance_id: newInstanceId, instance_type: 'c5.large' }, ...more }),
	ack: (handle, commandId, success = true) => call('commandExecuted', { agent_id: handle, command_id: commandId, success }),
	mark: (handle, commandId, more = {}) => call('markCommandExecuted', { agent_id: handle, command_id: commandId, ...more }),
	terminations: (handle) => call('instancesToTerminate', { agent_id: handle }),
	terminated: (handle, instanceId, success = true) =>
		call('terminationReport', { agent_id: handle, instance_id: instanceId, success, terminated_at: iso(now()) }),
	prices: (handle, prices) =>
		call('pricingReport', {
			agent_id: handle,
			instance: { instance_type: 'c5.large', region: 'us-east-1' },
			pricing: {
				on_demand_price: 0.085,
				spot_pools: Object.entries(prices).map(([az, price]) => ({ pool_id: `c5.large.${az}`, az, price })),
			},
		}),
	force: (instanceId, target, more = {}) =>
		call('forceSwitch', {
			instance_id: instanceId,
			...(target === 'ondemand' ? { target: 'ondemand' } : { target: 'pool', pool_id: pool(target) }),
			...more,
		}),
	cancel: (commandId) => call('cancelCommand', { command_id: commandId }),
	command: (commandId) => call('showCommand', { command_id: commandId }),
	toggle: (handle, enabled) => call('toggleAgent', { agent_id: handle, enabled }),
	remove: (agentId) => call('deleteAgent', { agent_id: agentId }),
	restore: (handle) => call('restoreAgent', { agent_id: handle }),
	hold: (instanceId, hold) => call('holdInstance', { instance_id: instanceId, hold }),
	agent: (handle) => call('showAgent', { agent_id: handle }),
});

type Sent = { readonly status: number; readonly body: object };

/** The HTTP face of a core, without a socket. */
const createFace = async (core: Core, store: Store, clock: Clock, ids: Ids, log: Log): Promise<FastifyInstance> => {
	const metrics = createMetrics('0.0.0');
	metrics.read(() => core.counters(), core.figures);
	const system = { store, core, clock, metrics, version: '0.0.0', environment: 'test', isDraining: () => false };
	const app = createApp({
		core,
		settings: {
			host: '127.0.0.1',
			trustProxy: false,
			openDashboard: 'off',
			corsOrigins: [],
			bodyLimit: 1_048_576,
			failedAuthPerMinute: 1_000_000,
		},
		log,
		metrics,
		clock,
		ids: { ...ids, uuid: () => '000000' },
		daemonHandlers: createSystemHandlers(system),
	});
	await app.ready();
	return app;
};

const sendHttp = async (app: FastifyInstance, token: string, name: Name, input: object, headers: object): Promise<Sent> => {
	const request = requestOf(operations[name] as unknown as Operation, input as Record<string, unknown>);
	const response = await app.inject({ ...request, headers: { authorization: `Bearer ${token}`, ...headers } });
	return { status: response.statusCode, body: response.json() };
};

const sendDirectly = async (core: Core, token: string, name: Name, input: object): Promise<Sent> => {
	const operation = operations[name] as unknown as Operation;
	const handle = core.handlers[name as CoreName] as unknown as (input: unknown, caller: Caller) => object | Promise<object>;
	try {
		const principal = await core.authenticate(token);
		const caller: Caller = { principal, requestId: 'test', idempotencyKey: null, gone: () => false };
		return { status: operation.status, body: await handle(operation.input.parse(input), caller) };
	} catch (error) {
		const problem = core.explain(error);
		if (!(problem instanceof SpotError)) throw error;
		return { status: problem.status, body: { code: problem.code, error: problem.message, ...problem.extras } };
	}
};

type Running = WorldDaemon & { readonly stop: (how: 'stop' | 'kill') => Promise<void> };

/** `set @kept`: the guard of a conditional update on MySQL, which travels with it. */
const CONTROL = /^(?:start transaction|commit|rollback|(?:\/\*later\*\/)?set @kept .*)$/i;

/** The real product on a database of the test, with time and ids in the test's hand. */
export const openWorld = async (
	url: string,
	{ settings, start = Date.UTC(2021, 2, 4), direct = false, jobs = JOBS, postWebhook }: WorldOptions = {},
): Promise<World> => {
	const core: CoreSettings = { ...CORE_SETTINGS, adminToken: ADMIN, ...settings };
	const ids = countingIds();
	const log = await silent();
	const stores: { store: Store; idle(): boolean }[] = [];
	const daemons: Running[] = [];
	const given: Given[] = [];
	let heard: string[] | null = null;
	let current = 0;
	let names = 0;

	const settle = async (): Promise<void> => {
		for (let quiet = 0; quiet < 2; quiet = stores.every(({ idle }) => idle()) ? quiet + 1 : 0) await setImmediate();
	};
	const time = createManualClock(start, settle);

	const open = async (): Promise<Store> => {
		const watch = (sql: string): void => {
			if (heard === null) return;
			for (const part of sql.split(';')) if (!CONTROL.test(part.trim())) heard.push(part.trim());
		};
		// Waits of the store itself, for a lock or a connection, are real ones.
		const watched = watchWork(await openStore({ url, poolSize: 8, clock: systemClock, watch, leaseClock: time }));
		stores.push(watched);
		// No test here pulls the plug, and half of the time would go into waiting for the disk.
		if (watched.store.dialect.name === 'sqlite') await sql`pragma synchronous = off`.execute(watched.store.ddl);
		return watched.store;
	};

	const run = async (store: Store, only: boolean): Promise<Running> => {
		const { clock, stop: stopTimers, pause, wake } = time.forProgram();
		const product = createCore({ store, clock, ids, settings: core, log, ...(postWebhook === undefined ? {} : { postWebhook }) }, jobs);
		const app = direct ? null : await createFace(product, store, clock, ids, log);
		await product.start({ jobs: true, alone: only && store.dialect.name === 'sqlite' });
		return {
			core: product,
			store,
			pause,
			wake,
			send: (token, name, input, headers) =>
				app === null ? sendDirectly(product, token, name, input) : sendHttp(app, token, name, input, headers),
			scrape: async () => (await app?.inject({ method: 'GET', url: '/metrics' }))?.payload ?? '',
			pollLost: async (client, handle) => {
				const principal = await product.authenticate(client.token);
				const caller = { principal, requestId: 'lost', idempotencyKey: null, gone: () => true };
				await product.handlers.pendingCommands({ agent_id: handle }, caller);
			},
			stop: async (how) => {
				if (how === 'stop') await product.stop();
				stopTimers();
				await settle();
				await app?.close();
			},
		};
	};

	const daemonInUse = (): Running => {
		const daemon = daemons[current];
		if (daemon === undefined) throw new Error(`no daemon ${current}`);
		return daemon;
	};

	const callAs =
		(token: string): Call =>
		(name, input, headers = {}) =>
			daemonInUse().send(token, name, input, headers) as never;

	const first = await open();
	await prepare(first);
	const az = (zone: string) => ({ id: `c5.large.${zone}`, instance_type: 'c5.large', region: 'us-east-1', az: zone, active: 1 as const });
	await first.transact((tx) =>
		addPools(
			tx,
			first.dialect.name,
			ZONES.map((zone) => ({ ...az(zone), created_at: start })),
		),
	);
	daemons.push(await run(first, true));
	const admin = createActor(ADMIN, callAs(ADMIN), time.now);

	const client = async (name = `client-${++names}`): Promise<ClientActor> => {
		const { body } = await admin.call('createClient', { name });
		const { id, token } = body.client;
		const actor = createActor(token, callAs(token), time.now);
		const self: ClientActor = {
			...actor,
			id,
			name,
			register: async (instanceId, machine) => {
				const reply = await actor.register(instanceId, machine);
				if (reply.status === 200) given.push({ client: self, instanceId, handle: reply.body.agent_id });
				return reply;
			},
		};
		return self;
	};

	return {
		now: time.now,
		advance: time.advance,
		store: first,
		daemons,
		addDaemon: async () => {
			const daemon = await run(await open(), false);
			daemons.push(daemon);
			return daemon;
		},
		stop: async (index = 0, how = 'stop') => {
			await daemons[index]?.stop(how);
		},
		restart: async (index = 0, how = 'stop') => {
			const old = daemons[index];
			if (old === undefined) throw new Error(`no daemon ${index}`);
			await old.stop(how);
			daemons[index] = await run(old.store, daemons.length === 1);
		},
		use: (index) => {
			current = index;
		},
		client,
		actor: (token) => createActor(token, callAs(token), time.now),
		admin,
		given,
		statements: async (work) => {
			heard = [];
			try {
				await work();
				return heard;
			} finally {
				heard = null;
			}
		},
		close: async () => {
			for (const daemon of daemons) await daemon.stop('stop');
			for (const { store } of stores) await store.close();
		},
	};
};

/** Calls a handler as an operator, without HTTP: it is no sign of life and costs little. */
export const asAdmin = <N extends CoreName>(daemon: WorldDaemon, name: N, input: Parameters<Handler<N>>[0]) =>
	(daemon.core.handlers[name] as unknown as Handler<N>)(input, {
		principal: { kind: 'admin', scope: 'admin', tokenId: null, name: 'test' },
		requestId: 'test',
		idempotencyKey: null,
		gone: () => false,
	});
