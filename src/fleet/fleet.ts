import type { AgentKind } from './agent-base.ts';
import type { SimClock } from './clock.ts';
import { Counters, type Outcome, routeOf } from './counters.ts';
import { Ec2, type Span } from './ec2.ts';
import { type Image, type Instance, type Mode, OPERATOR } from './ec2-types.ts';
import { type Faults, NO_FAULTS } from './faults.ts';
import { type AgentSettings, Host } from './host.ts';
import type { PriceFeed } from './prices.ts';
import type { Dict } from './python.ts';
import { createRandom, type Random } from './random.ts';
import { balancedFetcher, type Call, type Fetcher, type Link, poolFetcher } from './transport.ts';

/** One request of an agent and what became of it. */
export type RequestEvent = {
	/** Simulated UTC milliseconds at which it was sent. */
	readonly at: number;
	readonly instanceId: string;
	readonly kind: AgentKind;
	readonly method: Call['method'];
	/** As sent, with query. */
	readonly path: string;
	/** The path with its ids replaced (`/api/agents/:id/heartbeat`). */
	readonly route: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly sent: Dict | null;
	/** The HTTP status the server gave, also when the agent never saw it; null when there was none. */
	readonly status: number | null;
	readonly outcome: Outcome;
	/** The body of the answer as text; empty when there was none. */
	readonly answer: string;
	/** The Retry-After header of the answer. */
	readonly retryAfter: string | null;
};

/** A fleet to create. Only the clock, the daemon, the market and the agents must be given. */
export type FleetOptions = {
	/** The daemon's URL. Classic and 3.2 drop a path in it, v4 and the scripts keep it (clients.md). Of several daemons: a load balancer's, see `urls`. */
	baseUrl: string;
	/** The daemons behind `baseUrl`: requests go to them in turn, and past one that refuses the connection. Only `baseUrl` when absent. */
	urls?: readonly string[];
	/** The client's token. */
	token: string;
	clock: SimClock;
	seed: number | string;
	prices: PriceFeed;
	/** How many agents of each kind. */
	agents: Partial<Record<AgentKind, number>>;
	/** The instance type, or several that take turns. */
	type: string | readonly string[];
	region: string;
	/** Machines; a fresh EC2 with the zones of the price feed when absent. */
	ec2?: Ec2;
	/** How agent number `index` (from 0) of a kind starts out. Default spot. */
	mode?: (kind: AgentKind, index: number) => Mode;
	/** LOGICAL_AGENT_ID in the image; null for agents named by their machine. Default `classic-0001` and so on. */
	logicalAgentId?: (kind: AgentKind, index: number) => string | null;
	/** Faults every machine starts with. */
	faults?: Partial<Faults>;
	settings?: AgentSettings;
	/** The first agents start within this span, simulated milliseconds. Default 30 s. */
	staggerMs?: number;
	/** From a launched machine's `running` to its agent's start. Default 15-40 s. */
	agentBootMs?: Span;
	/** How requests are sent; the default is an undici pool of `connections` (32). */
	fetcher?: Fetcher;
	connections?: number;
	onRequest?: (event: RequestEvent) => void;
	/** Lines of the agents' logs. */
	onLog?: (line: { at: number; instanceId: string; message: string }) => void;
};

/** A machine to add by hand. Defaults: the fleet's first type, a zone of EC2's choice, spot. */
export type NewMachine = {
	readonly kind: AgentKind;
	readonly logicalAgentId: string | null;
	readonly instanceType?: string;
	readonly az?: string | null;
	readonly mode?: Mode;
};

/** Agents on machines, talking to a daemon. Nothing happens until its clock runs. */
export type Fleet = {
	readonly clock: SimClock;
	readonly ec2: Ec2;
	readonly prices: PriceFeed;
	readonly requests: Counters;
	/** Every machine that ever had an agent, oldest first. */
	hosts(): readonly Host[];
	host(instanceId: string): Host | undefined;
	/** Launches the first machines. */
	start(): void;
	/** One more machine, already running; its agent starts within the stagger time. */
	add(machine: NewMachine): Instance;
	/** Calls `listener` after each request until the returned function is called. */
	onRequest(listener: (event: RequestEvent) => void): () => void;
	/** Ends every agent with its last heartbeat and closes the connections. */
	stop(): Promise<void>;
	/** Ends every agent without a word and closes the connections. */
	halt(): Promise<void>;
};

const KINDS: readonly AgentKind[] = ['classic', 'v32', 'v4'];

const isKind = (name: string | null): name is AgentKind => KINDS.some((kind) => kind === name);

const imagesOf = (random: Random, token: string): Record<AgentKind, string> => {
	const id = (kind: AgentKind): string => `ami-${random.fork(`image ${kind} ${token}`).hex(17)}`;
	return { classic: id('classic'), v32: id('v32'), v4: id('v4') };
};

/** A fleet for tests, bench, demo and drill; see {@link FleetOptions}. */
export const createFleet = (options: FleetOptions): Fleet => {
	const { baseUrl, token, clock, prices, region, agents, settings = {}, staggerMs = 30_000, agentBootMs = [15_000, 40_000] } = options;
	const types = typeof options.type === 'string' ? [options.type] : options.type;
	const random = createRandom(options.seed);
	const zones = [...new Set(types.flatMap((type) => prices.zones(type)))].sort();
	const ec2 = options.ec2 ?? new Ec2({ clock, random: random.fork('ec2'), zones });
	const fetcher = options.fetcher ?? balancedFetcher((options.urls ?? [baseUrl]).map((url) => poolFetcher(url, options.connections)));
	const prefix = new URL(baseUrl).pathname.replace(/\/+$/, '');
	const requests = new Counters();
	const hosts = new Map<string, Host>();
	const listeners = new Set<(event: RequestEvent) => void>(options.onRequest ? [options.onRequest] : []);
	const times = random.fork('agent boots');
	const imageIds = imagesOf(random, token);
	let bootSoon = false;
	let isOver = false;

	const record = (event: RequestEvent): void => {
		requests.add(`${event.method} ${event.route}`, event.outcome);
		for (const listener of listeners) listener(event);
	};

	const createLink = (instanceId: string, kind: AgentKind, faults: Faults, chance: Random): Link => {
		const fateOf = (call: Call, route: string): 'request' | 'response' | null => {
			const request = chance.chance(faults.lostRequest);
			const response = chance.chance(faults.lostResponse);
			if (faults.lose) return faults.lose({ method: call.method, path: call.path, route });
			return request ? 'request' : response ? 'response' : null;
		};
		return async (plain) => {
			const keepsPrefix = kind === 'v4' || plain.path === '/api/agents/uninstall';
			const call = keepsPrefix ? { ...plain, path: prefix + plain.path } : plain;
			const { method, path, headers, body: sent } = call;
			const route = routeOf(plain.path);
			const fate = fateOf(call, route);
			const about = { at: clock.now(), instanceId, kind, method, path, route, headers, sent };
			if (fate === 'request') {
				record({ ...about, status: null, outcome: 'lost_request', answer: '', retryAfter: null });
				return { lostAfterMs: faults.lossMs };
			}
			try {
				const reply = await fetcher.send(call);
				const outcome = fate === 'response' ? 'lost_response' : reply.status;
				record({ ...about, status: reply.status, outcome, answer: reply.text, retryAfter: reply.retryAfter ?? null });
				return fate === 'response' ? { lostAfterMs: faults.lossMs } : reply;
			} catch (error) {
				record({ ...about, status: null, outcome: 'failed', answer: '', retryAfter: null });
				options.onLog?.({ at: clock.now(), instanceId, message: `request failed: ${method} ${path}: ${String(error)}` });
				return { lostAfterMs: 0 };
			}
		};
	};

	const addHost = (instance: Instance, kind: AgentKind): Host => {
		const { id: instanceId, image } = instance;
		const own = random.fork(instanceId);
		const faults: Faults = { ...NO_FAULTS, ...options.faults };
		const host = new Host(
			kind,
			{
				instanceId,
				logicalAgentId: image.logicalAgentId,
				region,
				token,
				clock,
				ec2,
				prices,
				faults,
				random: own,
				link: createLink(instanceId, kind, faults, own.fork('network')),
				log: (message) => options.onLog?.({ at: clock.now(), instanceId, message }),
			},
			settings,
		);
		hosts.set(instanceId, host);
		return host;
	};

	ec2.watch({
		running: (instance) => {
			if (isOver || !isKind(instance.image.agent) || instance.image.id !== imageIds[instance.image.agent]) return;
			const delayMs = bootSoon ? times.between(0, staggerMs) : times.between(...agentBootMs);
			addHost(instance, instance.image.agent).boot(delayMs);
		},
		shuttingDown: ({ id }) => {
			const host = hosts.get(id);
			if (host && times.chance(host.faults.saysOfflineOnTermination)) host.shutDown();
		},
		terminated: ({ id }) => hosts.get(id)?.die(),
	});

	const add = ({ kind, logicalAgentId, instanceType = types[0] ?? '', az = null, mode = 'spot' }: NewMachine): Instance => {
		bootSoon = true;
		const image: Image = { id: imageIds[kind], agent: kind, logicalAgentId };
		const order = { instanceType, az, mode, image, by: OPERATOR, reason: 'added to the fleet' };
		const instance = ec2.place(order, { running: true });
		bootSoon = false;
		return instance;
	};

	const start = (): void => {
		let turn = 0;
		for (const kind of KINDS) {
			for (let index = 0; index < (agents[kind] ?? 0); index++, turn++) {
				const instanceType = types[turn % types.length] ?? '';
				const homes = prices.zones(instanceType).filter((az) => ec2.zones.includes(az));
				const named = `${kind}-${String(index + 1).padStart(4, '0')}`;
				add({
					kind,
					logicalAgentId: options.logicalAgentId ? options.logicalAgentId(kind, index) : named,
					instanceType,
					az: homes[turn % homes.length] ?? null,
					mode: options.mode?.(kind, index) ?? 'spot',
				});
			}
		}
	};

	const halt = async (): Promise<void> => {
		isOver = true;
		for (const host of hosts.values()) host.die();
		await fetcher.close();
	};

	return {
		clock,
		ec2,
		prices,
		requests,
		hosts: () => [...hosts.values()],
		host: (instanceId) => hosts.get(instanceId),
		start,
		add,
		halt,
		onRequest: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		stop: async () => {
			isOver = true;
			for (const host of hosts.values()) await host.finish();
			await halt();
		},
	};
};
