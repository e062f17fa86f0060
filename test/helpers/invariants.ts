import { checkStore } from '../../src/store/check.ts';
import { asAdmin, type World, type WorldDaemon } from './world.ts';

const OPEN = ['pending', 'claimed'];

/** What must hold after every call, whatever came before it (identity.md section 8). Each problem in a line; none is right. */
export const brokenInvariants = async (world: World, daemon: WorldDaemon): Promise<string[]> => {
	const { read } = world.store;
	const [hosts, agents, commands, switches] = await Promise.all([
		read.selectFrom('host').selectAll().execute(),
		read.selectFrom('agent').selectAll().execute(),
		read.selectFrom('command').select(['id', 'agent_id', 'status', 'open_switch_of', 'handle', 'generation']).execute(),
		read.selectFrom('switch_record').selectAll().orderBy('created_at').orderBy('generation').execute(),
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
			must(listed?.role === 'zombie' && listed.hold === 0, `${instance_id} (${listed?.role}) is on the terminate list`);
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
		const bySilence = record.command_id === null && (record.evidence === 'takeover' || record.evidence === 'taken-back');
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
