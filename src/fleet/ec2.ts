import {
	type Actor,
	AWS,
	Ec2Error,
	type Instance,
	type InstanceState,
	type LaunchOrder,
	type LedgerEntry,
	type Mode,
	type NoticeKind,
} from './ec2-types.ts';
import type { Random } from './random.ts';
import type { Scheduled, Scheduler } from './thread.ts';

/** A span to draw from, milliseconds, both ends included. */
export type Span = readonly [min: number, max: number];

/** An EC2 to create. Spans are simulated milliseconds. */
export type Ec2Options = {
	clock: Scheduler;
	random: Random;
	/** Zones that exist; a launch elsewhere is an InvalidParameterValue. */
	zones: readonly string[];
	/** How long RunInstances takes to answer. Default 1-2 s. */
	launchMs?: Span;
	/** From launch to `running`. Default 15-45 s. */
	bootMs?: Span;
	/** From `running` to passed status checks. Default 60-120 s. */
	statusOkMs?: Span;
	/** From a request to terminate until the machine, and every process on it, is gone. Default 5 s. */
	shutdownMs?: Span;
	/** Between a termination notice and AWS ending the machine. Default 120 s. */
	noticeMs?: number;
	/** Whether machines have a public address. Default no: agents then register `public_ip: null`. */
	publicAddresses?: boolean;
};

/** What happens to machines, for those who run something on them. */
export type Ec2Watcher = {
	running?(instance: Instance): void;
	shuttingDown?(instance: Instance): void;
	terminated?(instance: Instance): void;
};

/** The notices in an instance's metadata, times as AWS writes them (`2021-03-04T08:22:00Z`). */
export type Notices = { action: { action: 'terminate'; time: string } | null; rebalance: { noticeTime: string } | null };

type Notice = { from: number; deadline: number; reclaim: Scheduled | undefined };

/** EC2 in memory, on simulated time: launches, capacity, terminations, notices, and a ledger of who did what. */
export class Ec2 {
	/** Whether machines launched from now on carry the agent of their image. */
	imageHasAgent = true;
	readonly ledger: LedgerEntry[] = [];
	readonly zones: readonly string[];
	readonly #options: Required<Omit<Ec2Options, 'zones'>>;
	readonly #ids: Random;
	readonly #times: Random;
	readonly #instances = new Map<string, Instance>();
	readonly #statusOkAt = new Map<string, number>();
	readonly #boots = new Map<string, Scheduled>();
	readonly #notices = new Map<string, Partial<Record<NoticeKind, Notice>>>();
	readonly #full = new Set<string>();
	readonly #locked = new Set<string>();
	readonly #watchers: Ec2Watcher[] = [];

	constructor({ zones, ...options }: Ec2Options) {
		this.zones = zones;
		this.#options = {
			launchMs: [1_000, 2_000],
			bootMs: [15_000, 45_000],
			statusOkMs: [60_000, 120_000],
			shutdownMs: [5_000, 5_000],
			noticeMs: 120_000,
			publicAddresses: false,
			...options,
		};
		this.#ids = options.random.fork('instance ids');
		this.#times = options.random.fork('ec2 times');
	}

	/** Calls back when a machine runs, starts to shut down, and is gone. */
	watch(watcher: Ec2Watcher): void {
		this.#watchers.push(watcher);
	}

	/** Every machine there ever was, oldest first. */
	get instances(): readonly Instance[] {
		return [...this.#instances.values()];
	}

	/**
	 * RunInstances. The machine exists from the call on; its id is known after the launch delay, which passes through `wait`. A caller
	 * that dies meanwhile leaves a machine nobody knows of. Throws {@link Ec2Error} after the same delay.
	 */
	async launch(order: LaunchOrder, wait: (ms: number) => Promise<void>): Promise<string> {
		const outcome = this.#tryPlace(order);
		await wait(this.#draw(this.#options.launchMs));
		if (outcome instanceof Ec2Error) throw outcome;
		return outcome.id;
	}

	/** {@link launch} without the delay. With `running` the machine is already up. */
	place(order: LaunchOrder, options: { running?: boolean } = {}): Instance {
		const outcome = this.#tryPlace(order);
		if (outcome instanceof Ec2Error) throw outcome;
		if (options.running) {
			this.#cancelBoot(outcome.id);
			this.#becomeRunning(outcome);
		}
		return outcome;
	}

	/** DescribeInstances for one id. Throws NotFound or Malformed as AWS does. */
	describe(id: string): Instance {
		const instance = this.#instances.get(id);
		if (instance) return instance;
		if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id)) throw new Ec2Error('InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
		throw new Ec2Error('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
	}

	/**
	 * TerminateInstances for one id: the machine shuts down, and is gone after the shutdown time. Asking again changes nothing, as
	 * with AWS. Returns the state before and after.
	 */
	terminate(id: string, by: Actor, reason: string): { previous: InstanceState; current: InstanceState } {
		const instance = this.describe(id);
		const previous = instance.state;
		if (previous === 'shutting-down' || previous === 'terminated') return { previous, current: previous };
		if (this.#locked.has(id) && by.kind === 'agent') {
			throw new Ec2Error('UnauthorizedOperation', 'You are not authorized to perform this operation.');
		}
		this.#cancelBoot(id);
		instance.state = 'shutting-down';
		instance.shutdownAt = this.#options.clock.now();
		this.#record('terminate', instance.shutdownAt, instance, by, reason);
		for (const watcher of this.#watchers) watcher.shuttingDown?.(instance);
		const shutdownMs = this.#draw(this.#options.shutdownMs);
		if (shutdownMs === 0) this.#becomeTerminated(instance);
		else this.#options.clock.schedule(shutdownMs, () => this.#becomeTerminated(instance), `${id}/terminated`);
		return { previous, current: 'shutting-down' };
	}

	/** Whether an agent's request to terminate this machine is refused (UnauthorizedOperation). */
	lockTermination(id: string, locked: boolean): void {
		if (locked) this.#locked.add(id);
		else this.#locked.delete(id);
	}

	/** Switches a pool (`<type>.<az>`) off or on for launches of one mode. */
	setCapacity(pool: string, available: boolean, mode: Mode = 'spot'): void {
		if (available) this.#full.delete(`${mode} ${pool}`);
		else this.#full.add(`${mode} ${pool}`);
	}

	/** A pool has no capacity for `ms` simulated milliseconds; whoever asks for it meanwhile is refused. */
	shortage(pool: string, ms: number, mode: Mode = 'spot'): void {
		this.setCapacity(pool, false, mode);
		this.#options.clock.schedule(ms, () => this.setCapacity(pool, true, mode), `${pool}/capacity`);
	}

	/** True from `running` plus the status check time on, while the machine is up. */
	statusOk(id: string): boolean {
		return this.describe(id).state === 'running' && this.#options.clock.now() >= (this.#statusOkAt.get(id) ?? Infinity);
	}

	/**
	 * Puts a notice into a machine's metadata from `at` (UTC milliseconds, default now) on. A termination notice names the end of the
	 * machine, `noticeMs` later, when AWS terminates it.
	 */
	notice(id: string, kind: NoticeKind, at = this.#options.clock.now()): void {
		this.describe(id);
		this.clearNotice(id, kind);
		const { clock, noticeMs } = this.#options;
		const deadline = at + noticeMs;
		const reclaim =
			kind === 'rebalance'
				? undefined
				: clock.schedule(deadline - clock.now(), () => void this.terminate(id, AWS, 'spot interruption'), `${id}/reclaim`);
		this.#notices.set(id, { ...this.#notices.get(id), [kind]: { from: at, deadline, reclaim } });
	}

	/** Takes a notice back; AWS then leaves the machine alone. */
	clearNotice(id: string, kind: NoticeKind): void {
		const notices = this.#notices.get(id);
		const notice = notices?.[kind];
		if (!notices || !notice) return;
		if (notice.reclaim) this.#options.clock.cancel(notice.reclaim);
		delete notices[kind];
	}

	/** What the machine's metadata says now. */
	notices(id: string): Notices {
		const notices = this.#notices.get(id);
		const now = this.#options.clock.now();
		const stamp = (at: number): string => awsTime(this.#options.clock.utc(at));
		const visible = (kind: NoticeKind): Notice | undefined => (notices?.[kind] && notices[kind].from <= now ? notices[kind] : undefined);
		const termination = visible('termination');
		const rebalance = visible('rebalance');
		return {
			action: termination ? { action: 'terminate', time: stamp(termination.deadline) } : null,
			rebalance: rebalance ? { noticeTime: stamp(rebalance.from) } : null,
		};
	}

	#tryPlace(order: LaunchOrder): Instance | Ec2Error {
		const { clock, publicAddresses, bootMs } = this.#options;
		const az = order.az ?? this.zones[this.#times.between(0, this.zones.length - 1)] ?? '';
		const problem = this.#refusal(order, az);
		if (problem) {
			this.#record('refused', clock.now(), { id: null, instanceType: order.instanceType, az, mode: order.mode }, order.by, order.reason);
			return problem;
		}
		const address = [this.#ids.between(0, 255), this.#ids.between(4, 250)];
		const instance: Instance = {
			id: `i-${this.#freshHex()}`,
			instanceType: order.instanceType,
			az,
			mode: order.mode,
			image: this.imageHasAgent ? order.image : { ...order.image, agent: null },
			hostname: `ip-10-0-${address.join('-')}`,
			privateIp: `10.0.${address.join('.')}`,
			publicIp: publicAddresses ? `54.210.${address.join('.')}` : null,
			launchedAt: clock.now(),
			launchedBy: order.by,
			state: 'pending',
			runningAt: null,
			shutdownAt: null,
			terminatedAt: null,
		};
		this.#instances.set(instance.id, instance);
		this.#record('launch', instance.launchedAt, instance, order.by, order.reason);
		this.#boots.set(
			instance.id,
			clock.schedule(this.#draw(bootMs), () => this.#becomeRunning(instance), `${instance.id}/running`),
		);
		return instance;
	}

	#refusal(order: LaunchOrder, az: string): Ec2Error | undefined {
		if (order.refuse) return new Ec2Error(order.refuse, `An error occurred (${order.refuse}) when calling the RunInstances operation`);
		if (!this.zones.includes(az)) return new Ec2Error('InvalidParameterValue', `Invalid availability zone: [${az}]`);
		if (!this.#full.has(`${order.mode} ${order.instanceType}.${az}`)) return undefined;
		return new Ec2Error('InsufficientInstanceCapacity', `There is no ${order.mode} capacity available in ${az} for ${order.instanceType}`);
	}

	#becomeRunning(instance: Instance): void {
		instance.state = 'running';
		instance.runningAt = this.#options.clock.now();
		this.#boots.delete(instance.id);
		this.#statusOkAt.set(instance.id, instance.runningAt + this.#draw(this.#options.statusOkMs));
		for (const watcher of this.#watchers) watcher.running?.(instance);
	}

	#becomeTerminated(instance: Instance): void {
		instance.state = 'terminated';
		instance.terminatedAt = this.#options.clock.now();
		for (const kind of ['termination', 'rebalance'] as const) this.clearNotice(instance.id, kind);
		for (const watcher of this.#watchers) watcher.terminated?.(instance);
	}

	#cancelBoot(id: string): void {
		const boot = this.#boots.get(id);
		if (boot) this.#options.clock.cancel(boot);
		this.#boots.delete(id);
	}

	#record(
		kind: LedgerEntry['kind'],
		at: number,
		what: { id: string | null; instanceType: string; az: string; mode: Mode },
		by: Actor,
		reason: string,
	): void {
		this.ledger.push({ kind, at, instanceId: what.id, instanceType: what.instanceType, az: what.az, mode: what.mode, by, reason });
	}

	#freshHex(): string {
		for (;;) {
			const hex = this.#ids.hex(17);
			if (!this.#instances.has(`i-${hex}`)) return hex;
		}
	}

	#draw([min, max]: Span): number {
		return this.#times.between(min, max);
	}
}

const awsTime = (at: number): string => new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z');
