import { AgentBase, type AgentPlace } from './agent-base.ts';
import { reportedPools } from './agent-pricing.ts';
import type { Instance } from './ec2-types.ts';
import { AgentError, type Dict, get, isTruthy, text } from './python.ts';
import type { SimThread } from './thread.ts';

/** Agent v4's intervals, milliseconds (clients.md section 3). */
export type AgentV4Settings = { heartbeatMs: number; emergencyMs: number; decideMs: number };

/** The intervals as shipped. */
export const AGENT_V4_DEFAULTS: Readonly<AgentV4Settings> = { heartbeatMs: 30_000, emergencyMs: 10_000, decideMs: 300_000 };

/**
 * Agent "v4" 4.0.0 (clients.md section 3): a sensor. It sends heartbeats, prices and notices and executes nothing. The X-Request-ID of a
 * notice stays in its session and goes out with every later call.
 */
export class AgentV4 extends AgentBase {
	readonly kind = 'v4';
	readonly #settings: AgentV4Settings;

	constructor(place: AgentPlace, settings: Partial<AgentV4Settings> = {}) {
		super(place);
		this.#settings = { ...AGENT_V4_DEFAULTS, ...settings };
	}

	protected registration({ id, instanceType, az, mode, image, hostname, privateIp, publicIp }: Instance): Dict {
		return {
			logical_agent_id: this.logicalAgentId,
			instance_id: id,
			instance_type: instanceType,
			region: this.place.region,
			az,
			mode,
			hostname,
			ami_id: image.id,
			agent_version: '4.0.0',
			private_ip: privateIp,
			public_ip: publicIp,
		};
	}

	protected readAgentId(answer: unknown): unknown {
		return get(answer, 'agent_id');
	}

	protected offlineBody(): Dict {
		return { status: 'offline' };
	}

	protected startWorkers(): void {
		this.repeat('heartbeat', this.#settings.heartbeatMs, (thread) => this.#heartbeat(thread));
		if (this.machine.mode === 'spot') this.repeat('emergency', this.#settings.emergencyMs, (thread) => this.#checkNotices(thread));
		this.repeat('decide', this.#settings.decideMs, (thread) => this.#decide(thread), 60_000);
	}

	async #heartbeat(thread: SimThread): Promise<void> {
		await this.call(thread, 'POST', this.path('heartbeat'), { status: this.status });
		this.readConfig(await this.call(thread, 'GET', this.path('config')));
	}

	async #checkNotices(thread: SimThread): Promise<void> {
		const { action, rebalance } = this.place.ec2.notices(this.place.instanceId);
		if (!action && !rebalance) return;
		this.session.headers['x-request-id'] = this.place.random.uuid();
		const body = action ? { notice_time: action.time, immediate: true } : { notice_time: rebalance?.noticeTime };
		await this.call(thread, 'POST', this.path('rebalance-recommendation'), body);
		await this.call(thread, 'GET', this.path('emergency-status'));
	}

	async #decide(thread: SimThread): Promise<void> {
		if (!isTruthy(this.enabled)) return;
		const { instanceType, az } = this.machine;
		const { prices } = this.place;
		const decision = await this.call(thread, 'POST', this.path('decide'), {
			spot_pools: reportedPools(prices, instanceType, this.now()).map((pool) => ({ ...pool, is_current: pool.az === az })),
			ondemand_price: prices.onDemand(instanceType) ?? 0.1,
			current_az: az,
		});
		if (decision === undefined || !isTruthy(decision)) return;
		const confidence = get(decision, 'confidence', 0);
		if (typeof confidence !== 'number' && typeof confidence !== 'boolean') {
			throw new AgentError(`unsupported format string for confidence ${text(confidence)}`);
		}
		this.log(`decision: ${text(get(decision, 'action', 'NO_ACTION'))} (confidence: ${Number(confidence).toFixed(2)})`);
	}
}
