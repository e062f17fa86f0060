import type { Ec2 } from './ec2.ts';
import { type Actor, Ec2Error, type Image, type Instance, type Mode } from './ec2-types.ts';
import type { Faults } from './faults.ts';
import type { PriceFeed } from './prices.ts';
import { AgentError, type Dict, get, isTruthy, text } from './python.ts';
import type { Random } from './random.ts';
import { type Scheduler, SimThread } from './thread.ts';
import { type Call, createSession, type Link, type Session } from './transport.ts';

/** The agents in the field (clients.md): classic 4.0.0, 3.2.0, and the other 4.0.0 called v4. */
export type AgentKind = 'classic' | 'v32' | 'v4';

/** Everything an agent process finds on its machine when it starts. */
export type AgentPlace = {
	readonly instanceId: string;
	/** LOGICAL_AGENT_ID; null when it is not set. */
	readonly logicalAgentId: string | null;
	readonly region: string;
	readonly token: string;
	readonly clock: Scheduler;
	readonly ec2: Ec2;
	readonly prices: PriceFeed;
	readonly link: Link;
	readonly random: Random;
	readonly faults: Faults;
	/** A line of the agent's log. */
	readonly log: (message: string) => void;
	/** The process has ended. */
	readonly onExit: () => void;
	/** Runs uninstall.sh on the machine. */
	readonly uninstall: () => void;
};

/** Launching: what the caller decides, the rest comes from its own machine. */
export type LaunchWish = { readonly az: string | null; readonly mode: Mode; readonly reason: string };

/**
 * One run of an agent process, from start to exit: registers once, then works in threads that each repeat a turn and a wait. It
 * remembers nothing from an earlier run.
 */
export abstract class AgentBase {
	abstract readonly kind: AgentKind;
	/** The id the server gave, used in every path until the process ends; undefined before, null when the answer had none (v4). */
	agentId: unknown;
	/** The only setting the agents obey. Not always a boolean: it is whatever the server sent. */
	enabled: unknown = true;
	protected readonly place: AgentPlace;
	protected readonly session: Session;
	readonly #threads: SimThread[] = [];
	#isRunning = false;
	#isEnded = false;

	constructor(place: AgentPlace) {
		this.place = place;
		this.session = createSession(place.link, place.token);
	}

	/** Starts the process. */
	start(): void {
		this.#spawn('main', async (thread) => {
			if (await this.#register(thread)) {
				this.#isRunning = true;
				this.startWorkers();
				return;
			}
			this.log('registration failed, exiting');
			await this.sayOffline(thread);
			this.#exit();
		});
	}

	/** True from the answered registration until the process stops. */
	get isRunning(): boolean {
		return this.#isRunning;
	}

	/** SIGTERM, or its own decision: the threads end, up to 5 s each is allowed to those at work, then one last heartbeat. */
	stop(): void {
		if (!this.#isRunning) return;
		this.#isRunning = false;
		const workers = this.#threads.filter((thread) => thread.isBusy);
		for (const thread of this.#threads) if (!thread.isBusy) thread.kill();
		this.#spawn(
			'shutdown',
			async (thread) => {
				for (const worker of workers) if (worker.isBusy) await thread.sleep(5_000);
				await this.sayOffline(thread);
				this.#exit();
			},
			1_000,
		);
	}

	/** SIGKILL, or the machine is gone: nothing more is sent. */
	kill(): void {
		this.#isRunning = false;
		this.#isEnded = true;
		for (const thread of this.#threads) thread.kill();
	}

	/** The last heartbeat, outside simulated time: for the end of a fleet. */
	async finish(): Promise<void> {
		if (!this.#isRunning) return this.kill();
		this.kill();
		await this.session.call('POST', this.path('heartbeat'), this.offlineBody());
	}

	/** The body of the registration. */
	protected abstract registration(machine: Instance): Dict;

	/** Reads the answer to the registration; throws when this kind of agent cannot live with it. */
	protected abstract readAgentId(answer: unknown): unknown;

	/** The body of the last heartbeat. */
	protected abstract offlineBody(): Dict;

	/** Starts the threads; called once, after registration. */
	protected abstract startWorkers(): void;

	/** A thread that takes a turn, waits `everyMs`, and so on until the process stops. Exceptions end the turn only. */
	protected repeat(name: string, everyMs: number, turn: (thread: SimThread) => Promise<void>, firstAfterMs = 0): void {
		this.#spawn(
			name,
			async (thread) => {
				while (this.#isRunning) {
					try {
						await turn(thread);
					} catch (error) {
						if (!(error instanceof AgentError || error instanceof Ec2Error)) throw error;
						this.log(`${name}: ${error.message}`);
					}
					await thread.wait(everyMs);
				}
			},
			firstAfterMs,
		);
	}

	/** One call; undefined when it failed. */
	protected async call(thread: SimThread, method: Call['method'], path: string, body?: Dict): Promise<unknown> {
		const { value, lostAfterMs } = await this.session.call(method, path, body);
		if (!thread.alive) return thread.halt();
		if (lostAfterMs > 0) await thread.sleep(lostAfterMs);
		return value;
	}

	/** The HTTP status of a GET with the token only; undefined without an answer. */
	protected async probe(thread: SimThread, path: string): Promise<number | undefined> {
		const status = await this.session.probe(path);
		return thread.alive ? status : thread.halt();
	}

	/** `/api/agents/<id>/<rest>`; an id that is not there is spelled as Python does. */
	protected path(rest: string): string {
		return `/api/agents/${text(this.agentId)}/${rest}`;
	}

	/** The machine the process is on. */
	protected get machine(): Instance {
		return this.place.ec2.describe(this.place.instanceId);
	}

	/** LOGICAL_AGENT_ID or, without it, the machine's own id. */
	protected get logicalAgentId(): string {
		return this.place.logicalAgentId ?? this.place.instanceId;
	}

	/** Simulated UTC milliseconds. */
	protected now(): number {
		return this.place.clock.now();
	}

	/** Now, as it is written into a request. */
	protected get stampedNow(): number {
		return this.place.clock.utc(this.now());
	}

	/** This process, for the EC2 ledger. */
	protected get actor(): Actor {
		return { kind: 'agent', instanceId: this.place.instanceId, agentId: typeof this.agentId === 'string' ? this.agentId : null };
	}

	protected log(message: string): void {
		this.place.log(message);
	}

	/** RunInstances with this machine's type and image. Throws Ec2Error. */
	protected launch(thread: SimThread, { az, mode, reason }: LaunchWish): Promise<string> {
		const { ec2, faults, random } = this.place;
		const { instanceType, image } = this.machine;
		const fitted: Image = faults.imageHasAgent ? image : { ...image, agent: null };
		const refused = random.chance(faults.launchFailure);
		const order = { instanceType, az, mode, image: fitted, by: this.actor, reason };
		return ec2.launch(refused ? { ...order, refuse: 'InsufficientInstanceCapacity' } : order, (ms) => thread.sleep(ms));
	}

	/** A waiter of the AWS library: looks at once, then every `delayMs`. Throws when the machine ends or the attempts run out. */
	protected async waitFor(
		thread: SimThread,
		id: string,
		state: 'running' | 'status_ok' | 'terminated',
		delayMs: number,
		attempts: number,
	): Promise<void> {
		const { ec2 } = this.place;
		for (let attempt = 1; ; attempt++) {
			const { state: current } = ec2.describe(id);
			if (state === 'status_ok' ? ec2.statusOk(id) : current === state) return;
			const isEnding = current === 'shutting-down' || current === 'terminated';
			if (isEnding && state === 'running') {
				throw new Ec2Error('WaiterError', 'Waiter InstanceRunning failed: Waiter encountered a terminal failure state');
			}
			if (attempt >= attempts) throw new Ec2Error('WaiterError', 'Waiter failed: Max attempts exceeded');
			await thread.sleep(delayMs);
		}
	}

	/** Reads `enabled` from a config answer; a failed call or an empty body keeps the last value. */
	protected readConfig(answer: unknown): void {
		if (answer !== undefined && isTruthy(answer)) this.enabled = get(answer, 'enabled', true);
	}

	/** What a heartbeat says. */
	protected get status(): 'online' | 'disabled' {
		return isTruthy(this.enabled) ? 'online' : 'disabled';
	}

	protected async sayOffline(thread: SimThread): Promise<void> {
		await this.call(thread, 'POST', this.path('heartbeat'), this.offlineBody());
	}

	async #register(thread: SimThread): Promise<boolean> {
		const answer = await this.call(thread, 'POST', '/api/agents/register', this.registration(this.machine));
		if (answer === undefined || !isTruthy(answer)) return false;
		try {
			this.agentId = this.readAgentId(answer);
			this.enabled = get(get(answer, 'config', {}), 'enabled', true);
			return true;
		} catch (error) {
			if (!(error instanceof AgentError)) throw error;
			this.log(`register: ${error.message}`);
			return false;
		}
	}

	#exit(): void {
		if (this.#isEnded) return;
		this.kill();
		this.place.onExit();
	}

	#spawn(name: string, body: (thread: SimThread) => Promise<void>, delayMs = 0): void {
		this.#threads.push(new SimThread(this.place.clock, `${this.place.instanceId}/${name}`, body, delayMs));
	}
}
