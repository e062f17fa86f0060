import { onTestFinished } from 'vitest';
import { SimClock, type SimClockOptions } from '../../src/fleet/clock.ts';
import { Ec2, type Ec2Options } from '../../src/fleet/ec2.ts';
import { createFleet, type FleetOptions } from '../../src/fleet/fleet.ts';
import { syntheticPrices } from '../../src/fleet/price-walk.ts';
import { createRandom } from '../../src/fleet/random.ts';
import { type Received, type Script, startScratchServer } from './scratch-server.ts';

export const TYPE = 'c5.large';
export const ZONES = ['us-east-1a', 'us-east-1b', 'us-east-1c'];
export const START = Date.UTC(2026, 0, 5);
export const MINUTE = 60_000;

const DAY = 86_400_000;

/** A made-up market around {@link START}. */
export const prices = syntheticPrices({ seed: 1, onDemand: { [TYPE]: 0.085 }, zones: ZONES, start: START - DAY, end: START + DAY });

type Wishes = Partial<FleetOptions> & {
	script?: Script;
	clockOptions?: SimClockOptions;
	ec2Options?: Partial<Ec2Options>;
	basePath?: string;
};

/** A scratch server, and a fleet on simulated time that talks to it. Everything is closed when the test ends. */
export const createWorld = async ({ script, clockOptions, ec2Options, basePath = '', ...options }: Wishes = {}) => {
	const clock = new SimClock({ start: START, ...clockOptions });
	const ec2 = new Ec2({
		clock,
		random: createRandom('ec2'),
		zones: ZONES,
		launchMs: [1_000, 1_000],
		bootMs: [20_000, 20_000],
		...ec2Options,
	});
	const server = await startScratchServer(() => clock.now(), script);
	const fleet = createFleet({
		baseUrl: server.url + basePath,
		token: 'token-1',
		clock,
		seed: 7,
		prices,
		ec2,
		agents: { classic: 1 },
		type: TYPE,
		region: 'us-east-1',
		staggerMs: 0,
		agentBootMs: [20_000, 20_000],
		...options,
	});
	onTestFinished(async () => {
		await fleet.halt();
		await server.close();
	});
	return {
		clock,
		ec2,
		server,
		fleet,
		/** The first host; the fleet must have been started. */
		first: () => {
			const [host] = fleet.hosts();
			if (!host) throw new Error('the fleet has no host');
			return host;
		},
		/** Requests that match, oldest first. */
		got: (method: string, pattern: RegExp): Received[] => server.log.filter((one) => one.method === method && pattern.test(one.path)),
		/** Seconds since the start, by request. */
		seconds: (requests: readonly Received[]): number[] => requests.map(({ at }) => (at - START) / 1_000),
	};
};

/** A script that hands out each answer of a list once, to requests whose path matches, and is silent after. */
export const once = (pattern: RegExp, ...answers: unknown[]): Script => {
	const left = [...answers];
	return ({ path }) => (pattern.test(path) && left.length > 0 ? { body: left.shift() } : undefined);
};
