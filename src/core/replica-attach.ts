import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { hostNamedBy } from '../store/hosts.ts';
import type { Replica } from '../store/replicas.ts';
import { actorOf, type Caller } from './caller.ts';
import { speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { machineOfAgent } from './machines.ts';
import { reconcile } from './reconcile.ts';
import { audit, conflict, counts, type Outcome, onReplica, type ReplicaCall } from './replica-call.ts';
import { attach, endMachine, saveLive } from './replica-machine.ts';

/** #60 (T4): names the machine of a replica. What loses is put on the terminate lists, and its 409 is told after that is stored. */
export const attachReplica =
	(context: Context) =>
	(input: Valid<'attachReplica'>, caller: Caller): Promise<Output<'attachReplica'>> => {
		if (!/^i-/.test(input.instance_id))
			throw new SpotError('invalid', 'VALIDATION_ERROR', `"${input.instance_id}" is no machine: its id does not begin with i-`, {
				extras: { details: { instance_id: ['is no i-… id'] } },
			});
		return onReplica(context, caller, input, async (call) => {
			const { replica } = call;
			if (speaksForAgent(caller)) audit(call, 'replicas.attach', { instance_id: input.instance_id });
			return nameMachine(call, replica, input.instance_id);
		});
	};

const attached = (replica: Replica, instanceId: string): { answer: Output<'attachReplica'> } => ({
	answer: { success: true, replica_id: replica.id, instance_id: instanceId, status: replica.status },
});

const nameMachine = async (call: ReplicaCall, replica: Replica, instanceId: string): Promise<Outcome<Output<'attachReplica'>>> => {
	const { work, host } = call;
	const { context, tx, journal, agent } = work;
	if (replica.instance_id === instanceId && replica.handle !== null && (replica.live_of !== null || replica.status === 'promoted')) {
		// A registration had been taken for it: now its launcher says so too.
		if (replica.guess === 1 && replica.live_of !== null) await saveLive(work, { guess: 0 });
		return attached(replica, instanceId);
	}
	const named = (await hostNamedBy.all(tx, { handle: host.handle, instance_id: instanceId }))[0];
	const facts = {
		instanceId,
		type: replica.instance_type ?? host.instance_type,
		region: replica.region ?? host.region,
		az: replica.az,
		mode: null,
		poolId: replica.pool_id,
		ami: host.ami_id,
	};
	const placed = await machineOfAgent(context, tx, journal, agent, facts, counts(call), named);
	if (placed === null)
		return {
			refusal: conflict(
				'MACHINE_CONFLICT',
				`${instanceId} is a machine of another agent; nothing moved`,
				replica,
				'see: spotctl instances list',
			),
		};
	const { machine, isNew } = placed;
	const surplus = (why: string) =>
		endMachine(
			{ context, tx, journal, agent, primary: work.primary, now: work.now, replica, by: actorOf(call.caller), why },
			machine,
			isNew,
		);
	if (machine.handle === work.replica?.handle)
		return { refusal: conflict('MACHINE_TAKEN', `${instanceId} is the machine of the live replica; nothing moved`, replica) };
	if (machine.role === 'primary')
		return { refusal: conflict('MACHINE_IS_PRIMARY', `${instanceId} is the primary; nothing moved`, replica) };
	const free = machine.role === 'named' || machine.role === 'candidate' || (machine.role === 'zombie' && machine.generation === null);
	if (!counts(call) || replica.live_of === null) {
		await surplus(
			replica.live_of === null ? `its replica is ${replica.status} already` : `${host.instance_id} is not the primary any more`,
		);
		return { refusal: conflict('REPLICA_ENDED', `the replica is ${replica.status}: ${instanceId} will be terminated`, replica) };
	}
	if (replica.handle !== null && replica.guess === 0) {
		await surplus(`${replica.instance_id} was named first`);
		return {
			refusal: conflict(
				'REPLICA_TAKEN',
				`the replica is ${replica.instance_id}, which was named first; ${instanceId} will be terminated`,
				replica,
			),
		};
	}
	if (!free) return { refusal: conflict('MACHINE_TAKEN', `${instanceId} is ${machine.role} already; nothing moved`, replica) };
	if (replica.handle !== null && work.replicaHost !== null) {
		// The first PUT beats a guess.
		const guessed = work.replicaHost;
		await saveLive(work, { handle: null, instance_id: null, guess: 0 });
		await endMachine(
			{
				context,
				tx,
				journal,
				agent,
				primary: work.primary,
				now: work.now,
				replica: null,
				by: 'spotctl',
				why: `the replica is ${instanceId}, not this machine`,
			},
			guessed,
			false,
		);
		work.replicaHost = null;
	}
	await attach(work, machine, isNew, false);
	const now = work.replica;
	await reconcile(work);
	return attached(now ?? replica, instanceId);
};
