import type { Ec2 } from './ec2.ts';
import { type Actor, Ec2Error, type Instance } from './ec2-types.ts';
import { AgentError, type Dict, get, isDict, isoOffset, isTruthy, items, text, zoneOf } from './python.ts';
import type { SimThread } from './thread.ts';
import type { Call } from './transport.ts';

/** What replica work needs of the agent it belongs to. */
export type ReplicaHands = {
	readonly ec2: Ec2;
	machine(): Instance;
	actor(): Actor;
	/** Now, as it is written into a request. */
	stampedNow(): number;
	path(rest: string): string;
	call(thread: SimThread, method: Call['method'], path: string, body?: Dict): Promise<unknown>;
	launch(thread: SimThread, az: string, reason: string): Promise<string>;
	waitFor(thread: SimThread, id: string, state: 'running' | 'status_ok'): Promise<void>;
	log(message: string): void;
};

/** The classic agent's work on replicas (clients.md, "Replica polling", "Termination polling", command create_replica). */
export class ReplicaWork {
	readonly #hands: ReplicaHands;
	readonly #ended = new Set<unknown>();

	constructor(hands: ReplicaHands) {
		this.#hands = hands;
	}

	/** GET #58 ?status=launching; launches each in turn, and waits for it, before the next. */
	async launchPending(thread: SimThread): Promise<void> {
		for (const replica of await this.#list(thread, 'launching')) {
			const id = get(replica, 'id');
			let pool = get(replica, 'pool_id');
			let az = get(replica, 'az');
			const nested = get(replica, 'pool');
			if (!isTruthy(pool) && isTruthy(nested)) {
				pool = get(nested, 'id');
				az = get(nested, 'az');
			}
			if (!isTruthy(id) || !isTruthy(pool) || !isTruthy(az)) {
				this.#hands.log('invalid replica data');
				continue;
			}
			await this.#launch(thread, id, text(az));
		}
	}

	/** GET #58 ?status=terminated; each replica is ended once in the life of the process, whatever came of it. */
	async endTerminated(thread: SimThread): Promise<void> {
		for (const replica of await this.#list(thread, 'terminated')) {
			const id = get(replica, 'id');
			const instanceId = get(replica, 'instance_id');
			if (!isTruthy(id) || !isTruthy(instanceId) || this.#ended.has(id)) continue;
			if (typeof instanceId !== 'string') throw new AgentError("object has no attribute 'startswith'");
			this.#ended.add(id);
			if (instanceId.startsWith('manual-') || instanceId.startsWith('replica-')) continue;
			try {
				this.#terminate(instanceId, text(id));
			} catch (error) {
				if (!(error instanceof Ec2Error)) throw error;
				this.#hands.log(`cannot terminate replica: ${error.code}`);
				continue;
			}
			await this.#report(thread, id, { status: 'terminated', is_active: false, terminated_at: this.#stamp() });
		}
	}

	/** The command create_replica; the replica's id, or undefined when it failed. */
	async createOrdered(thread: SimThread, targetPool: unknown): Promise<string | undefined> {
		try {
			return await this.#create(thread, targetPool);
		} catch (error) {
			if (!(error instanceof AgentError || error instanceof Ec2Error)) throw error;
			this.#hands.log(`cannot create replica: ${error.message}`);
			return undefined;
		}
	}

	async #list(thread: SimThread, status: 'launching' | 'terminated'): Promise<readonly unknown[]> {
		const answer = await this.#hands.call(thread, 'GET', `${this.#hands.path('replicas')}?status=${status}`);
		if (answer === undefined || !isTruthy(answer)) return [];
		if (isDict(answer)) return items(get(answer, 'replicas', []));
		return Array.isArray(answer) ? answer : [];
	}

	async #launch(thread: SimThread, id: unknown, az: string): Promise<void> {
		const hands = this.#hands;
		try {
			if (typeof id !== 'string') throw new AgentError(`'${typeof id}' object is not subscriptable`);
			const instanceId = await hands.launch(thread, az, `replica ${id}`);
			await hands.call(thread, 'PUT', hands.path(`replicas/${id}`), { instance_id: instanceId, status: 'syncing' });
			await hands.waitFor(thread, instanceId, 'running');
			await this.#report(thread, id, { status: 'ready', sync_completed_at: this.#stamp() });
		} catch (error) {
			if (!(error instanceof AgentError || error instanceof Ec2Error)) throw error;
			hands.log(`replica launch failed: ${error.message}`);
			await this.#report(thread, id, { status: 'failed', error_message: error.message });
		}
	}

	async #create(thread: SimThread, targetPool: unknown): Promise<string | undefined> {
		const hands = this.#hands;
		const { id: parent, instanceType, az: ownZone } = hands.machine();
		const az = isTruthy(targetPool) ? zoneOf(targetPool) : ownZone;
		const instanceId = await hands.launch(thread, az, 'create_replica command');
		await hands.waitFor(thread, instanceId, 'running');
		const answer = await hands.call(thread, 'POST', hands.path('replicas'), {
			instance_id: instanceId,
			replica_type: 'manual',
			parent_instance_id: parent,
			pool_id: `${instanceType}.${az}`,
			status: 'launching',
		});
		if (answer === undefined || !isTruthy(answer)) return undefined;
		const replicaId = get(answer, 'replica_id');
		await this.#report(thread, replicaId, { status: 'syncing', sync_started_at: this.#stamp() });
		await hands.waitFor(thread, instanceId, 'status_ok').catch((error: unknown) => {
			if (!(error instanceof Ec2Error)) throw error;
		});
		await this.#report(thread, replicaId, { status: 'ready', sync_completed_at: this.#stamp() });
		return isTruthy(replicaId) ? text(replicaId) : undefined;
	}

	#terminate(instanceId: string, replicaId: string): void {
		try {
			this.#hands.ec2.terminate(instanceId, this.#hands.actor(), `terminated replica ${replicaId}`);
		} catch (error) {
			if (!(error instanceof Ec2Error) || error.code !== 'InvalidInstanceID.NotFound') throw error;
		}
	}

	async #report(thread: SimThread, id: unknown, body: Dict): Promise<void> {
		await this.#hands.call(thread, 'POST', this.#hands.path(`replicas/${text(id)}/status`), body);
	}

	#stamp(): string {
		return isoOffset(this.#hands.stampedNow());
	}
}
