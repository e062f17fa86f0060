import { sql } from 'kysely';
import { type Agent, saveAgentSince } from './agents.ts';
import { type Command, saveCommandSince, supersedeCommands } from './commands.ts';
import { emergencyAtPromotion } from './emergencies.ts';
import { addHost, type Host, saveHost, saveHostSince, setRole } from './hosts.ts';
import { setLiveness, setWatch } from './liveness.ts';
import type { HostLivenessTable } from './schema.ts';
import { type Db, inList, statement } from './statement.ts';
import { forgetSwitchFailure } from './switch-failures.ts';
import { addSwitches, type SwitchRecord } from './switches.ts';

/** What one change of primary writes; all of it in one transaction, in the order of {@link writePromotions}. */
export type PromotionRows = {
	/** The host that leaves the role, and when it must be heard from now on. */
	readonly from: { readonly role: Parameters<typeof setRole.later>[1]; readonly watchAt: number | null } | null;
	/** The host that takes it, and its row; null: what that holds is not known, `new`: there is none. */
	readonly host: Host;
	readonly hostWas: Host | 'new' | null;
	/** Its liveness from now on: the whole row for one that has never called, else when it must be heard. */
	readonly liveness: HostLivenessTable | { readonly watchAt: number | null };
	readonly agent: { readonly was: Agent; readonly is: Agent };
	readonly command: { readonly was: Command; readonly is: Command } | null;
	/** Whether an open emergency is to learn of it here. */
	readonly movesEmergency: boolean;
	readonly record: SwitchRecord;
	readonly now: number;
};

const watchAll = statement<{ handles: readonly string[]; watch_at: number | null }>()((db, v, dialect) =>
	db
		.updateTable('host_liveness')
		.set({ watch_at: v('watch_at') })
		.where(inList(dialect, 'handle', v('handles'))),
);

/**
 * What promotions mean for the live replicas of their agents, without reading them: the machine of one becomes the primary; a launch for which
 * nobody has named a machine was for another generation (void where an agent had fetched it, identity.md R7). A standby that exists stays.
 */
const replicasAtPromotion = statement<{ agents: readonly string[]; handles: readonly string[]; now: number }>()((db, v, dialect) => {
	const promoted = inList(dialect, 'handle', v('handles'));
	return db
		.updateTable('replica')
		.set({
			promoted_at: sql`case when ${promoted} then ${v('now')} else promoted_at end`,
			ended_at: sql`case when ${promoted} then ended_at else ${v('now')} end`,
			error_message: sql`case when ${promoted} then error_message else 'another machine became the primary' end`,
			void: sql`case when ${promoted} or served_at is null then 0 else 1 end`,
			live_of: null,
			status: sql`case when ${promoted} then 'promoted' else 'failed' end`,
		})
		.where(inList(dialect, 'live_of', v('agents')))
		.where((eb) => eb.or([eb('handle', 'is', null), inList(dialect, 'handle', v('handles'))]));
});

/**
 * Writes changes of primary, each of another agent whose row is locked. The old primary goes first: the unique key on `primary_of` allows one.
 * What is alike for all is one statement whatever their number.
 */
export const writePromotions = async (tx: Db, rows: readonly PromotionRows[]): Promise<void> => {
	const [first] = rows;
	if (first === undefined) return;
	const { now } = first;
	const watched = new Map<number | null, string[]>();
	const watch = (handle: string, at: number | null): void => void watched.set(at, [...(watched.get(at) ?? []), handle]);
	for (const { from } of rows) {
		if (from === null) continue;
		await setRole.later(tx, from.role);
		watch(from.role.handle, from.watchAt);
	}
	for (const { host, hostWas, liveness } of rows) {
		if (hostWas === 'new') await addHost.later(tx, host);
		else if (hostWas === null) await saveHost.later(tx, host);
		else await saveHostSince(tx, hostWas, host);
		if ('watchAt' in liveness) watch(host.handle, liveness.watchAt);
		else await setLiveness.later(tx, liveness);
	}
	for (const [at, handles] of watched) {
		const [only] = handles;
		if (handles.length === 1 && only !== undefined) await setWatch.later(tx, { handle: only, watch_at: at });
		else await watchAll.later(tx, { handles, watch_at: at });
	}
	await supersedeCommands.later(tx, {
		agents: rows.map(({ agent }) => agent.is.id),
		except: rows.flatMap(({ command }) => command?.is.id ?? []),
		now,
	});
	await replicasAtPromotion.later(tx, { agents: rows.map(({ agent }) => agent.is.id), handles: rows.map(({ host }) => host.handle), now });
	for (const { agent, command, movesEmergency, host } of rows) {
		if (movesEmergency)
			await emergencyAtPromotion.later(tx, { agent_id: agent.is.id, handle: host.handle, instance_id: host.instance_id, now });
		await saveAgentSince(tx, agent.was, agent.is);
		if (command !== null) await saveCommandSince(tx, command.was, command.is);
		if (command?.was.status === 'failed') await forgetSwitchFailure.later(tx, { id: command.was.id });
	}
	await addSwitches(
		tx,
		rows.map(({ record }) => record),
	);
};
