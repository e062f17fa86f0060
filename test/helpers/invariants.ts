import { checkStore } from '../../src/store/check.ts';
import type { Emergency } from '../../src/store/emergencies.ts';
import type { Host } from '../../src/store/hosts.ts';
import type { Replica } from '../../src/store/replicas.ts';
import { asAdmin, type World, type WorldDaemon } from './world.ts';

const OPEN = ['pending', 'claimed'];
const SILENCE = ['takeover', 'taken-back', 'silence'];
const LIVE = ['launching', 'syncing', 'ready'];
const DEAD = ['terminated', 'failed'];
/** How an emergency may end (schema.ts). */
const OUTCOMES = ['failed-over', 'unconfirmed', 'stood-by', 'recovered', 'escalated', 'overtaken', 'told', 'deleted'];
/** A machine whose end was tried is on no list for this long (identity.md section 5). */
const HIDDEN_MS = 300_000;

/** What must hold after every call, whatever came before it (identity.md section 8). Each problem in a line; none is right. */
export const brokenInvariants = async (world: World, daemon: WorldDaemon): Promise<string[]> => {
	const { read } = world.store;
	const now = world.now();
	const [hosts, agents, commands, switches, promoted, entered] = await Promise.all([
		read.selectFrom('host').selectAll().execute(),
		read.selectFrom('agent').selectAll().execute(),
		read.selectFrom('command').select(['id', 'agent_id', 'status', 'open_switch_of', 'handle', 'generation']).execute(),
		read.selectFrom('switch_record').selectAll().orderBy('created_at').orderBy('generation').execute(),
		read.selectFrom('replica').selectAll().where('status', '=', 'promoted').execute(),
		read.selectFrom('ledger_fact').selectAll().where('kind', 'in', ['state', 'entered']).orderBy('id').execute(),
	]);
	const problems: string[] = [];
	const must = (holds: boolean, problem: string): void => {
		if (!holds) problems.push(problem);
	};
	const byInstance = new Map(hosts.map((host) => [`${host.client_id} ${host.instance_id}`, host]));
	const byHandle = new Map(hosts.map((host) => [host.handle, host]));
	must(byInstance.size === hosts.length, 'a machine has two rows');
	for (const { client, instanceId, handle } of world.given) {
		must(byInstance.get(`${client.id} ${instanceId}`)?.handle === handle, `${instanceId} lost its handle`);
	}
	const lastEntered = new Map(entered.map((fact) => [fact.handle, fact]));
	const deleted = new Set(agents.filter(({ status }) => status === 'deleted').map(({ id }) => id));
	for (const { handle, instance_id, role, agent_id, mode, pool_id, registered_at } of hosts) {
		const fact = lastEntered.get(handle);
		const expected = [role === 'primary' && deleted.has(agent_id) ? 'left' : role, agent_id, mode, pool_id, registered_at === null ? 0 : 1];
		const found = [fact?.role, fact?.agent_id, fact?.mode, fact?.pool_id, fact?.registered];
		// What became of it later does not matter to the books, which end with it, and are forgotten after a year or so.
		if (role !== 'terminated' || (fact !== undefined && fact.role !== 'terminated'))
			must(`${found}` === `${expected}`, `${instance_id} is ${expected} and in the books as ${found}`);
	}
	for (const agent of agents) {
		const own = hosts.filter((host) => host.agent_id === agent.id);
		const primaries = own.filter((host) => host.role === 'primary' && host.primary_of === agent.id);
		must(primaries.length === 1, `agent ${agent.id} has ${primaries.length} primaries`);
		must(own.filter((host) => host.primary_of !== null).length === 1, `agent ${agent.id}: primary_of is not one`);
		const [primary] = primaries;
		must(
			primary?.generation === agent.generation,
			`agent ${agent.id} is of generation ${agent.generation}, its primary of ${primary?.generation}`,
		);
		const open = commands.filter((command) => command.agent_id === agent.id && OPEN.includes(command.status));
		must(open.length <= 1, `agent ${agent.id} has ${open.length} open switches`);
		for (const command of open) {
			must(command.open_switch_of === agent.id, `command ${command.id} is open but does not say so`);
			must(command.handle === primary?.handle, `command ${command.id} is open for a host that is not the primary`);
			must(command.generation === agent.generation, `command ${command.id} is open for an older generation`);
		}
		const list = await asAdmin(daemon, 'instancesToTerminate', { agent_id: agent.id });
		for (const { instance_id } of list.instances) {
			const listed = byInstance.get(`${agent.client_id} ${instance_id}`);
			must(listed?.agent_id === agent.id, `${instance_id} is on the terminate list of another agent`);
			const mayEnd = (listed?.role === 'zombie' || listed?.role === 'ended') && listed.hold === 0 && (listed.hold_until ?? 0) <= now;
			must(mayEnd, `${instance_id} (${listed?.role}) is on the terminate list`);
		}
	}
	for (const command of commands) {
		must(OPEN.includes(command.status) || command.open_switch_of === null, `command ${command.id} is closed but holds the slot`);
		must(byHandle.get(command.handle)?.agent_id === command.agent_id, `command ${command.id} is of another agent than its host`);
	}
	const released = await read.selectFrom('audit').select('entity_id').where('action', '=', 'instances.hold').execute();
	const lastLeft = new Map(switches.map((record) => [`${record.client_id} ${record.old_instance_id}`, record]));
	for (const [key, record] of lastLeft) {
		const host = byInstance.get(key);
		// A candidate that stands for a launch took over with an order of its own (T3).
		const isOrdered = promoted.some(
			(replica) =>
				replica.guess === 1 &&
				replica.client_id === record.client_id &&
				replica.instance_id === record.new_instance_id &&
				replica.promoted_at === record.created_at,
		);
		const bySilence = record.command_id === null && !isOrdered && SILENCE.includes(record.evidence);
		const byOperator = released.some((row) => row.entity_id === record.old_instance_id);
		if (bySilence && !byOperator)
			must(host?.role !== 'zombie' || host.hold === 1, `${host?.instance_id} would be terminated because of silence`);
	}
	return problems;
};

/** What can be asked at the end only, since asking is a sign of life: what each handle that was ever given is told. */
export const brokenPromises = async (world: World): Promise<string[]> => {
	const problems: string[] = [];
	for (const { check, problems: found } of await checkStore(world.store, new Set(['host', 'agent', 'command']))) {
		problems.push(...found.map((problem) => `${check}: ${problem}`));
	}
	const deleted = new Set(
		(await world.store.read.selectFrom('agent').select('id').where('status', '=', 'deleted').execute()).map(({ id }) => id),
	);
	const agentOf = new Map(
		(await world.store.read.selectFrom('host').select(['handle', 'agent_id']).execute()).map((row) => [row.handle, row.agent_id]),
	);
	const enabled = new Map<string, Set<string>>();
	for (const { client, handle } of world.given) {
		const agentId = agentOf.get(handle) ?? '';
		const probed = await client.probe(handle);
		const wanted = deleted.has(agentId) ? 404 : 200;
		if (probed.status !== wanted) problems.push(`GET agent ${handle} is ${probed.status}, not ${wanted}`);
		const config = await client.config(handle);
		if (config.status !== 200) problems.push(`GET config of ${handle} is ${config.status}`);
		if (config.body.enabled) enabled.set(agentId, (enabled.get(agentId) ?? new Set()).add(handle));
	}
	for (const [agentId, handles] of enabled) if (handles.size > 1) problems.push(`agent ${agentId} has ${handles.size} enabled handles`);
	return problems;
};

/**
 * What must hold of standbys, emergencies and terminate lists after every call (identity.md sections 4, 5 and 8). What a daemon names to a
 * primary is looked at only while it knows what others changed (`isFresh`).
 */
export const brokenStandbys = async (world: World, daemon: WorldDaemon, isFresh = true): Promise<string[]> => {
	const { read } = world.store;
	const [hosts, agents, replicas, emergencies] = await Promise.all([
		read.selectFrom('host').selectAll().execute(),
		read.selectFrom('agent').selectAll().execute(),
		read.selectFrom('replica').selectAll().execute(),
		read.selectFrom('emergency').selectAll().execute(),
	]);
	const byHandle = new Map(hosts.map((host) => [host.handle, host]));
	const problems = [
		...replicas.flatMap((replica) => brokenReplica(replica, byHandle.get(replica.handle ?? ''), replicas)),
		...emergencies.flatMap(brokenEmergency),
	];
	const must = (holds: boolean, problem: string): void => {
		if (!holds) problems.push(problem);
	};
	for (const host of hosts) {
		const rows = replicas.filter((replica) => replica.handle === host.handle);
		const live = rows.filter(({ live_of }) => live_of === host.agent_id);
		must(
			live.length === (host.role === 'replica' ? 1 : 0),
			`${host.instance_id} (${host.role}) is the machine of ${live.length} live replicas`,
		);
		if (host.role === 'ended') must(rows.some(isUnconfirmed), `${host.instance_id} must end, but no ended replica says so`);
	}
	for (const agent of agents) {
		const slots = replicas.filter(({ live_of }) => live_of === agent.id);
		const open = emergencies.filter(({ open_of }) => open_of === agent.id);
		must(slots.length <= 1, `agent ${agent.id} has ${slots.length} live replicas`);
		must(open.length <= 1, `agent ${agent.id} has ${open.length} open emergencies`);
		for (const { kind, step } of open)
			must(agent.attention_at !== null, `nobody looks at the ${kind} emergency of ${agent.id} (${step}) again`);
		const primary = hosts.find(({ primary_of }) => primary_of === agent.id);
		for (const { kind, promoted_at, handle } of open)
			must(promoted_at !== null || handle === primary?.handle, `the open ${kind} emergency of ${agent.id} is about a former primary`);
		for (const { status } of slots)
			if (status === 'syncing') must(agent.attention_at !== null, `nobody looks at the syncing replica of ${agent.id} again`);
		if (agent.status === 'deleted') must(slots.length + open.length === 0, `the deleted agent ${agent.id} has a replica or an emergency`);
		if (!isFresh) continue;
		const own = hosts.filter((host) => host.agent_id === agent.id);
		const isDue = (host: Host): boolean => dueAt(host, agent.terminate_wait_seconds) <= world.now();
		const named = await asAdmin(daemon, 'instancesToTerminate', { agent_id: agent.id });
		const isNamed = (host: Host): boolean =>
			isDue(host) && (agent.status === 'deleted' ? host.role === 'ended' : agent.auto_terminate_enabled === 1);
		compare(
			problems,
			`instances-to-terminate of ${agent.id}`,
			new Set(named.instances.map(({ instance_id }) => instance_id)),
			own.filter(isNamed),
		);
		const dead = await asAdmin(daemon, 'listHostReplicas', {
			agent_id: agent.id,
			status: 'terminated',
			include_terminated: false,
			limit: 1000,
		});
		const isEnding = (host: Host): boolean => host.role === 'ended' && isDue(host);
		compare(
			problems,
			`replicas?status=terminated of ${agent.id}`,
			new Set(dead.replicas.map(({ instance_id }) => instance_id)),
			own.filter(isEnding),
		);
	}
	return problems;
};

const isUnconfirmed = ({ status, confirmed_at }: Replica): boolean => DEAD.includes(status) && confirmed_at === null;

/** From when on a machine is on the terminate lists. */
const dueAt = (host: Host, waitSeconds: number): number => {
	if ((host.role !== 'zombie' && host.role !== 'ended') || host.hold === 1 || !host.instance_id.startsWith('i-'))
		return Number.POSITIVE_INFINITY;
	const waited = host.role === 'ended' ? 0 : (host.zombie_at ?? Number.POSITIVE_INFINITY) + waitSeconds * 1000;
	const shown = host.termination_attempted_at === null ? 0 : host.termination_attempted_at + HIDDEN_MS;
	return Math.max(waited, shown, host.hold_until ?? 0);
};

const compare = (problems: string[], list: string, named: ReadonlySet<string>, wanted: readonly Host[]): void => {
	for (const { instance_id, role } of wanted) if (!named.has(instance_id)) problems.push(`${instance_id} (${role}) is not in ${list}`);
	for (const id of named) if (!wanted.some(({ instance_id }) => instance_id === id)) problems.push(`${id} should not be in ${list}`);
};

const brokenReplica = (replica: Replica, host: Host | undefined, all: readonly Replica[]): string[] => {
	const { id, status, live_of, agent_id, handle, instance_id } = replica;
	const problems: string[] = [];
	const must = (holds: boolean, problem: string): void => {
		if (!holds) problems.push(`the ${status} replica ${id} ${problem}`);
	};
	must(live_of === (LIVE.includes(status) ? agent_id : null), 'does not say whether it has the slot');
	must((handle === null) === (host === undefined), 'has a machine that is not known');
	must(handle !== null || status === 'launching' || DEAD.includes(status), 'has no machine');
	if (host === undefined) return problems;
	must(host.agent_id === agent_id && host.instance_id === instance_id, `is ${instance_id} and its machine ${host.instance_id}`);
	must(status !== 'launching', 'has a machine already');
	if (live_of !== null) must(host.role === 'replica' && host.instance_id.startsWith('i-'), `has ${host.instance_id}, a ${host.role}`);
	if (status === 'promoted')
		must(host.generation !== null && host.instance_id.startsWith('i-'), `has ${host.instance_id}, never a primary`);
	if (isUnconfirmed(replica)) must(isAccountedFor(replica, host, all), `left ${host.instance_id} as ${host.role}, which must end`);
	return problems;
};

/** Whether the machine of a replica that ended ends too, or has a reason not to. */
const isAccountedFor = (replica: Replica, host: Host, all: readonly Replica[]): boolean => {
	const { role, generation, tentative_replica_id } = host;
	if (role === 'ended' || role === 'terminated' || role === 'zombie') return true;
	// It served since, or serves as the replica of another row.
	if (generation !== null || role === 'primary' || role === 'replica') return true;
	// Nobody said that it must end, and it may be the only one left: the row says why, and the machine which row it is of.
	const newest = all.find(({ id }) => id === tentative_replica_id);
	return role === 'candidate' && newest?.handle === host.handle && newest.error_message !== null && replica.error_message !== null;
};

const brokenEmergency = (emergency: Emergency): string[] => {
	const { id, kind, agent_id, open_of, outcome, ended_at, step, promoted_at, new_instance_id } = emergency;
	const isOpen = open_of !== null;
	const holds =
		(!isOpen || open_of === agent_id) &&
		isOpen === (outcome === null) &&
		isOpen === (ended_at === null) &&
		isOpen === (step !== 'ended') &&
		(outcome === null || OUTCOMES.includes(outcome)) &&
		(promoted_at === null) === (new_instance_id === null);
	return holds ? [] : [`the ${kind} emergency ${id} is open of ${open_of}, at ${step}, ended as ${outcome} with ${new_instance_id}`];
};

/**
 * What should be over once every living host has called for long: emergencies, and replicas on their way for longer than `patience`.
 * Nobody can launch for a primary that never calls (`silent` handles).
 */
export const unsettled = async (world: World, patience: number, silent: ReadonlySet<string>): Promise<string[]> => {
	const { read } = world.store;
	const [emergencies, replicas, primaries] = await Promise.all([
		read.selectFrom('emergency').selectAll().where('open_of', 'is not', null).execute(),
		read.selectFrom('replica').selectAll().where('status', 'in', ['launching', 'syncing']).execute(),
		read.selectFrom('host').selectAll().where('primary_of', 'is not', null).execute(),
	]);
	const ofSilent = new Set(primaries.flatMap((host) => (host.registered_at === null || silent.has(host.handle) ? [host.agent_id] : [])));
	return [
		...emergencies.map(({ kind, step, agent_id, message }) => `the ${kind} emergency of ${agent_id} is still open at ${step}: ${message}`),
		...replicas
			.filter(({ agent_id, launched_at, created_at }) => !ofSilent.has(agent_id) && world.now() - (launched_at ?? created_at) > patience)
			.map(({ id, status, agent_id, served_count }) => `replica ${id} of ${agent_id} is still ${status} (served ${served_count} times)`),
	];
};

/** How many runs a property gets: `SPOTCTL_TEST_RUNS`, or the usual number of `npm test`. */
export const runsOf = (usual: number): number => Number(process.env['SPOTCTL_TEST_RUNS'] ?? usual);

/** For fast-check: `SPOTCTL_TEST_SEED` repeats a run whose failure printed its seed. */
export const seeded = (): { seed?: number } => {
	const seed = process.env['SPOTCTL_TEST_SEED'];
	return seed === undefined ? {} : { seed: Number(seed) };
};

/**
 * For fast-check on a property whose runs take their time: it ends within `ms`, saying the seed and the smallest failure found so far. Left
 * alone it looks for a smaller one until the time of the test is over, and the test says nothing but that.
 */
export const inTime = (ms: number) => ({ interruptAfterTimeLimit: ms, markInterruptAsFailure: true }) as const;

/** Commands through a run: ended ones stay ended, and what a poll answered is never pending again. */
export const createCommandWatch = (world: World) => {
	const offered = new Set<string>();
	const ended = new Map<string, string>();
	return {
		/** A poll answered this command, whether the answer arrived or not. */
		offer: (id: string): string[] => {
			const isNew = !offered.has(id);
			offered.add(id);
			return isNew ? [] : [`command ${id} was offered twice`];
		},
		broken: async (): Promise<string[]> => {
			const problems: string[] = [];
			for (const { id, status } of await world.store.read.selectFrom('command').select(['id', 'status']).execute()) {
				const before = ended.get(id);
				if (!OPEN.includes(status)) ended.set(id, status);
				else if (before !== undefined) problems.push(`command ${id} was ${before} and is ${status} again`);
				if (status === 'pending' && offered.has(id)) problems.push(`command ${id} was offered and is pending again`);
			}
			return problems;
		},
	};
};
