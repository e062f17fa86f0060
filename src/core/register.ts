import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import {
	type Agent,
	addAgent,
	addLogicalId,
	agentOfLogicalId,
	lockAgent,
	lockAgentOfInstance,
	lockAgentOfLogicalId,
} from '../store/agents.ts';
import { nameMachine, ordersOfAgent, ordersOfSelfNamed, ordersTaken, shortenLease } from '../store/commands.ts';
import { addHost, type Host, hostByInstance, primaryOf, saveHostSince } from '../store/hosts.ts';
import { setLiveness } from '../store/liveness.ts';
import { launchesOfAgent, launchesOfSelfNamed, nameLaunched, type Replica } from '../store/replicas.ts';
import type { Role } from '../store/schema.ts';
import { type Db, together } from '../store/statement.ts';
import { saveAgentOrRetry } from './agent-row.ts';
import type { Caller } from './caller.ts';
import { checkLimits } from './client-limits.ts';
import type { Context } from './context.ts';
import type { Situation } from './failover-plan.ts';
import type { Journal } from './journal.ts';
import { byAge, fits, type Machine, type Order, orderOfReplica, orderOfSwitch, readOrders, tentativeOf } from './orders.ts';
import { promote } from './promotion.ts';
import { reconcile } from './reconcile.ts';
import { attach, becomeReady } from './replica-machine.ts';
import { configFor, defaultSettings } from './settings.ts';
import { primaryIsSilent } from './silence.ts';
import { takeOverIfSilent } from './takeover.ts';
import { StaleRow } from './unit.ts';
import { lockedWork } from './work.ts';

/** An agent restarted in mid-command keeps this much of its lease (identity.md section 6). */
const RESTART_WINDOW_MS = 5 * 60_000;

type Registration = Omit<Valid<'registerHost'>, 'availability_zone' | 'az' | 'current_mode' | 'logical_agent_id'> & {
	readonly az: string | null;
	readonly clientId: string;
	readonly logicalId: string;
};

type Result = { readonly agent: Agent; readonly host: Host };

/** One registration in its transaction. */
type Work = { readonly context: Context; readonly tx: Db; readonly journal: Journal; readonly said: Registration; readonly now: number };

/**
 * #40: a machine registers (identity.md section 3, R1 to R8, then T3). 200 in every case but a limit of the client. Errors: 403 for an
 * admin token, which belongs to no client, and for a client whose limits are reached.
 */
export const registerHost =
	(context: Context) =>
	async (input: Valid<'registerHost'>, caller: Caller): Promise<Output<'registerHost'>> => {
		if (caller.principal?.kind !== 'client') {
			throw new SpotError(
				'forbidden',
				'CLIENT_TOKEN_REQUIRED',
				'only a client token can register a machine: an admin token belongs to no client',
				{
					hint: 'create one: spotctl tokens create CLIENT',
				},
			);
		}
		const { availability_zone, current_mode, logical_agent_id, ...rest } = input;
		const said: Registration = {
			...rest,
			az: rest.az ?? availability_zone ?? null,
			mode: rest.mode ?? current_mode,
			clientId: caller.principal.clientId,
			logicalId: logical_agent_id ?? rest.instance_id,
		};
		const { agent, host } = await context.sharedUnit(caller, (tx, journal) =>
			registered({ context, tx, journal, said, now: context.clock.now() }),
		);
		context.counters.add('agent_registrations_total', 1);
		return {
			agent_id: host.handle,
			client_id: agent.client_id,
			config: configFor(agent, host.role),
			role: host.role,
			generation: agent.generation,
			public_agent_id: agent.id,
			config_version: agent.config_version,
			...(host.role === 'primary' ? {} : { message: `this instance is not the primary of its agent (${host.role}); it stays passive` }),
		};
	};

const registered = async (work: Work): Promise<Result> => {
	const { tx, said } = work;
	const machine = { client_id: said.clientId, instance_id: said.instance_id };
	const [[own], [found]] = await together(tx, [lockAgentOfInstance.of(machine), hostByInstance.of(machine)]);
	if (own !== undefined) return again(work, own, found);
	const named = await lockAgentOfLogicalId.first(tx, { client_id: said.clientId, logical_id: said.logicalId });
	if (named?.status === 'deleted') return { agent: named, host: await join(work, named, 'candidate', {}) };
	if (named !== undefined) {
		const of = { client_id: said.clientId, agent_id: named.id, now: work.now };
		const [switches, launches] = await together(tx, [ordersOfAgent.of(of), launchesOfAgent.of(of)]);
		return newcomer(work, named, byAge([...switches.map(orderOfSwitch), ...launches.map(orderOfReplica)]));
	}
	if (said.logicalId === said.instance_id) {
		const chosen = await chosenOrder(tx, said.clientId, await ordersForSelfNamed(work));
		const owner = chosen === undefined ? undefined : await lockAgent.first(tx, { id: chosen.agentId });
		if (owner !== undefined) {
			// Another machine may have taken the order while the lock was waited for; then this one belongs to another.
			const orders = await ordersForSelfNamed(work);
			if ((await chosenOrder(tx, said.clientId, orders))?.agentId !== owner.id) throw new StaleRow();
			await addLogicalId.later(tx, { client_id: said.clientId, logical_id: said.logicalId, agent_id: owner.id });
			return newcomer(work, owner, orders);
		}
	}
	return firstHost(work);
};

/** Which orders other candidates stand for; asked only where it can matter. */
const takenOf = async (tx: Db, clientId: string, orders: readonly Order[]): Promise<ReadonlySet<string>> =>
	orders.length < 2
		? new Set()
		: ordersTaken(
				tx,
				clientId,
				orders.map((order) => order.id),
			);

/** The orders of self-named agents that a machine without a logical id of its own could be from. */
const ordersForSelfNamed = async ({ tx, said, now }: Work): Promise<Order[]> => {
	const machine = {
		client_id: said.clientId,
		now,
		instance_type: said.instance_type ?? '',
		region: said.region ?? '',
		az: said.az ?? '',
	};
	const [switches, launches] = await together(tx, [ordersOfSelfNamed.of(machine), launchesOfSelfNamed.of(machine)]);
	return byAge([...switches.map(orderOfSwitch), ...launches.map(orderOfReplica)]).filter((order) => fits(order, machineOf(said), now));
};

/** The order a self-named machine most likely belongs to: the one it will stand for, else the oldest open one, else the oldest. */
const chosenOrder = async (tx: Db, clientId: string, orders: readonly Order[]): Promise<Order | undefined> =>
	tentativeOf(orders, await takenOf(tx, clientId, orders)) ?? orders.find((each) => each.state === 'open') ?? orders[0];

const machineOf = (said: Registration): Machine => ({
	clientId: said.clientId,
	instanceType: said.instance_type,
	region: said.region,
	az: said.az,
	mode: said.mode,
});

const poolOf = (type: string | null, az: string | null, mode: Host['mode']): string | null =>
	mode === 'spot' && type !== null && az !== null ? `${type}.${az}` : null;

/** What the machine says about itself over what was known of it; what it leaves out stays. */
const facts = (host: Host, said: Registration, now: number): Host => {
	const mode = said.mode ?? host.mode;
	const type = said.instance_type ?? host.instance_type;
	const az = said.az ?? host.az;
	return {
		...host,
		instance_type: type,
		region: said.region ?? host.region,
		az,
		mode,
		pool_id: mode === null ? host.pool_id : poolOf(type, az, mode),
		ami_id: said.ami_id ?? host.ami_id,
		hostname: said.hostname ?? host.hostname,
		private_ip: said.private_ip ?? host.private_ip,
		public_ip: said.public_ip ?? host.public_ip,
		agent_version: said.agent_version ?? host.agent_version,
		registered_at: now,
		said_offline_at: null,
	};
};

/** A sign of life that begins anew: which polls were seen is reset at registration (identity.md section 2). */
const heard = (work: Work, handle: string, watched: boolean): Promise<unknown> =>
	setLiveness.later(work.tx, {
		handle,
		seen_at: work.now,
		heartbeat_at: work.now,
		watch_at: watched ? work.now : null,
		commands_polled_at: null,
		replicas_polled_at: null,
		terminations_polled_at: null,
	});

/** R1: the machine is known; its row decides, its logical id can only add an alias. */
const again = async (work: Work, agent: Agent, found: Host | undefined): Promise<Result> => {
	const { context, tx, journal, said, now } = work;
	if (found?.agent_id !== agent.id) throw new StaleRow();
	const role: Role = found.role === 'terminated' ? 'zombie' : found.role === 'named' ? 'candidate' : found.role;
	const host: Host = {
		...facts(found, said, now),
		role,
		...(found.role === 'terminated' ? { terminated_at: null, zombie_at: found.zombie_at ?? now } : {}),
	};
	await saveHostSince(tx, found, host);
	const deleted = agent.status === 'deleted';
	journal.book(host, { deleted, overlapUntil: deleted && role === 'zombie' ? 0 : null });
	if (agent.status === 'offline' && role === 'primary') journal.book(host, { kind: 'heard' });
	await heard(work, host.handle, (role === 'primary' || role === 'replica') && agent.status !== 'deleted');
	if (said.logicalId !== agent.logical_agent_id) await alias(work, agent);
	journal.changed('agent', agent.id);
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	journal.event('host_registered', `${host.instance_id} of ${agent.logical_agent_id} registered again as ${role}`, about, {
		metadata: { role, was: found.role },
	});
	if (agent.status === 'deleted') return { agent, host };
	if (role === 'primary') {
		// A claimed command of a process that has ended waits five more minutes for evidence, not for its whole lease.
		await shortenLease.later(tx, {
			agent_id: agent.id,
			handle: host.handle,
			until: now + RESTART_WINDOW_MS,
			message: 'the agent restarted while it had this command',
		});
		return { agent: await alive(context, tx, journal, agent), host };
	}
	if (role === 'replica') {
		// T5: a replica whose own agent registers is ready.
		const situation = await lockedWork(context, tx, journal, agent.id);
		if (situation?.replica?.handle !== host.handle) return { agent, host };
		situation.replicaHost = host;
		situation.replicaHeardAt = now;
		situation.replicaSilent = false;
		await becomeReady(situation);
		await reconcile(situation);
		return asItIs(situation, host);
	}
	if (role === 'candidate' || host.takes_back === 1) {
		const taken = await takeOverIfSilent(context, tx, journal, agent, host.handle);
		if (taken !== null) return taken.host.handle === host.handle ? taken : { agent: taken.agent, host };
	}
	return { agent, host };
};

const alias = async ({ tx, journal, said }: Work, agent: Agent): Promise<void> => {
	const other = await agentOfLogicalId.first(tx, { client_id: said.clientId, logical_id: said.logicalId });
	if (other === undefined) {
		await addLogicalId.later(tx, { client_id: said.clientId, logical_id: said.logicalId, agent_id: agent.id });
	} else if (other.id !== agent.id && other.status !== 'deleted') {
		journal.event(
			'logical_id_clash',
			`${said.instance_id} belongs to ${agent.logical_agent_id} but registered as ${said.logicalId}, which is another agent; it stays where it is`,
			{ clientId: agent.client_id, agentId: agent.id, instanceId: said.instance_id },
			{ severity: 'warning', metadata: { logical_id: said.logicalId, other_agent_id: other.id } },
		);
	}
};

/** Marks an agent whose primary was heard as alive, with one event and one notification if it had been offline. */
export const alive = async (context: Context, tx: Db, journal: Journal, agent: Agent): Promise<Agent> => {
	const status = agent.enabled === 1 ? 'online' : 'disabled';
	const now = context.clock.now();
	// Whatever waited for this host to call is looked at again: its replica, an emergency for its silence.
	const due = agent.manual_replica_enabled === 1 || agent.attention_at !== null;
	if (agent.status === status && agent.terminated_at === null && !due) return agent;
	const saved = await saveAgentOrRetry(tx, agent, { status, terminated_at: null, attention_at: due ? now : null }, now);
	const about = { clientId: agent.client_id, agentId: agent.id };
	if (agent.status === 'offline') {
		journal.event('agent_back_online', `${agent.logical_agent_id} is back`, about);
		journal.notify('agent_back_online', 'Agent back online', `${agent.logical_agent_id} is back online`, about);
	}
	journal.changed('agent', agent.id);
	return saved;
};

const blank = (work: Work, agentId: string, handle: string, role: Role): Host => ({
	handle,
	client_id: work.said.clientId,
	agent_id: agentId,
	instance_id: work.said.instance_id,
	role,
	primary_of: role === 'primary' ? agentId : null,
	generation: null,
	instance_type: null,
	region: null,
	az: null,
	ami_id: null,
	hostname: null,
	private_ip: null,
	public_ip: null,
	agent_version: null,
	mode: null,
	pool_id: null,
	registered_at: null,
	said_offline_at: null,
	zombie_at: null,
	hold: 0,
	hold_until: null,
	guess_command_id: null,
	guess_replica_id: null,
	tentative_command_id: null,
	tentative_replica_id: null,
	takes_back: 0,
	termination_attempted_at: null,
	ending_told_at: null,
	terminated_at: null,
	last_switch_at: null,
	created_at: work.now,
});

/** Adds a host to an agent in a passive role, with a handle of its own. */
const join = async (work: Work, agent: Agent, role: Role, extra: Partial<Host>): Promise<Host> => {
	const host: Host = { ...facts(blank(work, agent.id, work.context.ids.uuid(), role), work.said, work.now), ...extra };
	await addHost.later(work.tx, host);
	work.journal.book(host);
	await heard(work, host.handle, false);
	work.journal.changed('agent', agent.id);
	return host;
};

/** R4 to R8 for a machine nobody has heard of, under an agent that lives. */
const newcomer = async (work: Work, agent: Agent, orders: readonly Order[]): Promise<Result> => {
	const { context, tx, journal, said, now } = work;
	const primary = await primaryOf.first(tx, { agent_id: agent.id });
	const silent = primary !== undefined && (await primaryIsSilent(context, tx, primary));
	const taken = await takenOf(tx, agent.client_id, orders);
	const reading = readOrders(orders, machineOf(said), now, taken, !silent);
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: said.instance_id };
	if (reading.kind === 'ordered' && primary !== undefined) {
		if (reading.order.of === 'replica') return launched(work, agent, reading.order.replica);
		const { command } = reading.order;
		const to = await join(
			work,
			agent,
			'candidate',
			said.mode === null ? { mode: command.target_mode, pool_id: command.target_pool_id } : {},
		);
		return promote(context, tx, journal, {
			agent,
			from: primary,
			to,
			reason: 'registration',
			old: { role: 'zombie', hold: false, terminatedAt: null },
			command,
			record: {},
		});
	}
	if (reading.kind === 'extra') {
		const host = await join(work, agent, 'zombie', { zombie_at: now });
		const { order } = reading;
		await (order.of === 'switch' ? nameMachine : nameLaunched).later(tx, { id: order.id, instance_id: host.instance_id });
		const message = `${said.instance_id} was launched for a ${order.of} of ${agent.logical_agent_id} that another promotion had overtaken; it will be terminated`;
		journal.event('extra_machine', message, about, { severity: 'warning', metadata: { order_id: order.id } });
		journal.notify('extra_machine', 'Extra machine', message, about, 'warning');
		return { agent, host };
	}
	const tentative = reading.kind === 'undecided' ? reading.tentative : null;
	const host = await join(work, agent, 'candidate', {
		tentative_command_id: tentative?.of === 'switch' ? tentative.id : null,
		tentative_replica_id: tentative?.of === 'replica' ? tentative.id : null,
	});
	const known = await takeOverIfSilent(context, tx, journal, agent, host.handle);
	if (known !== null) return known.host.handle === host.handle ? known : { agent: known.agent, host };
	const why = reading.kind === 'undecided' ? 'several orders could have launched it' : 'nothing was ordered that it could be';
	const message = `${said.instance_id} registered for ${agent.logical_agent_id}, whose primary is ${primary?.instance_id ?? 'unknown'}: ${why}; it stays passive`;
	journal.event(reading.kind === 'undecided' ? 'undecided_host' : 'unexpected_host', message, about, {
		severity: 'warning',
		metadata: { tentative_order_id: tentative?.id ?? null },
	});
	if (reading.kind === 'unexpected') journal.notify('unexpected_host', 'Unexpected machine', message, about, 'warning');
	return { agent, host };
};

/** R5: the machine of a launch that was handed out; its own agent runs, so it is ready, and an emergency that waits promotes it at once. */
const launched = async (work: Work, agent: Agent, replica: Replica): Promise<Result> => {
	const { context, tx, journal, said } = work;
	const situation = await lockedWork(context, tx, journal, agent.id);
	if (situation?.replica?.id !== replica.id || situation.replica.handle !== null) throw new StaleRow();
	const host = await join(work, agent, 'replica', said.mode === null ? { mode: replica.mode, pool_id: replica.pool_id } : {});
	await attach(situation, host, false, true);
	await reconcile(situation);
	return asItIs(situation, host);
};

/** The host as its agent's situation has left it. */
const asItIs = ({ agent, primary, replicaHost }: Situation, host: Host): Result => {
	const now = [primary, replicaHost].find((each) => each?.handle === host.handle);
	return { agent, host: now ?? host };
};

/** R3: the first machine of a new agent; its handle is the agent's id. */
const firstHost = async (work: Work): Promise<Result> => {
	const { context, tx, journal, said, now } = work;
	await checkLimits(tx, { client_id: said.clientId, instance_id: said.instance_id, logical_id: said.logicalId });
	const id = context.ids.uuid();
	const agent: Agent = {
		id,
		client_id: said.clientId,
		logical_agent_id: said.logicalId,
		self_named: said.logicalId === said.instance_id ? 1 : 0,
		generation: 1,
		version: 1,
		status: 'online',
		...defaultSettings(context.settings.terminateWaitSeconds),
		last_switch_at: null,
		last_cleanup_at: null,
		terminated_at: null,
		attention_at: null,
		enabled_at: null,
		kept_settings: null,
		deleted_at: null,
		installed_at: now,
		created_at: now,
		updated_at: now,
	};
	await addAgent.later(tx, agent);
	await addLogicalId.later(tx, { client_id: said.clientId, logical_id: said.logicalId, agent_id: id });
	const host: Host = { ...facts(blank(work, id, id, 'primary'), said, now), generation: 1 };
	await addHost.later(tx, host);
	journal.book(host);
	await heard(work, id, true);
	const about = { clientId: said.clientId, agentId: id, instanceId: said.instance_id };
	journal.event('agent_registered', `${said.logicalId} registered with ${said.instance_id}`, about, {
		metadata: { agent_version: said.agent_version },
	});
	journal.notify('agent_registered', 'New agent', `New agent registered: ${said.logicalId}`, about);
	journal.changed('agent', id);
	return { agent, host };
};
