/** A request as a fault looks at it; `route` is the path with its ids replaced (`/api/agents/:id/heartbeat`). */
export type FaultCall = { readonly method: string; readonly path: string; readonly route: string };

/**
 * What goes wrong on one machine. Probabilities are 0 to 1; everything can be changed while the fleet runs.
 */
export type Faults = {
	/** A request never reaches the server. */
	lostRequest: number;
	/** A request is served, but its answer is dropped. */
	lostResponse: number;
	/** Decides about one request instead of the two probabilities; null leaves it to them. */
	lose: ((call: FaultCall) => 'request' | 'response' | null) | null;
	/** How long the agent waits for a lost answer, simulated milliseconds: 0 is a reset connection, 30,000 the agents' timeout. */
	lossMs: number;
	/** Mean time between crashes of the agent process; null for none. systemd starts it again 10 s later. */
	crashEveryMs: number | null;
	/** After a switch that ends its own machine, the process dies before it reports. On real EC2 that is the rule. */
	diesBeforeReport: number;
	/** A terminated machine shuts down in order, so that its agent still sends the last heartbeat. */
	saysOfflineOnTermination: number;
	/** EC2 refuses a launch with InsufficientInstanceCapacity. */
	launchFailure: number;
	/** False: machines this host launches boot an image without an agent. */
	imageHasAgent: boolean;
	/** The metadata service does not name type and zone, so the classic agent's heartbeat carries nulls. */
	metadataFails: boolean;
};

/** A machine on which nothing goes wrong, except that an agent that terminates its own machine dies of it. */
export const NO_FAULTS: Readonly<Faults> = {
	lostRequest: 0,
	lostResponse: 0,
	lose: null,
	lossMs: 0,
	crashEveryMs: null,
	diesBeforeReport: 1,
	saysOfflineOnTermination: 0,
	launchFailure: 0,
	imageHasAgent: true,
	metadataFails: false,
};
