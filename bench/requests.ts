/** What Python's requests sends with every call of an agent. */
const AGENT_HEADERS = 'User-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n';

/** A request as bytes. The same bytes go to the floor and to the daemon. */
export const request = (method: 'GET' | 'POST' | 'PUT', path: string, token: string, body?: object): Buffer => {
	const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${AGENT_HEADERS}Authorization: Bearer ${token}\r\n`;
	if (body === undefined) return Buffer.from(`${head}\r\n`);
	const text = JSON.stringify(body);
	return Buffer.from(`${head}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
};

/** A machine the bench pretends to be; `switches` moves it to another. */
export type Agent = {
	readonly token: string;
	readonly logicalId: string;
	/** The public id: the handle of its first machine. */
	id: string;
	readonly instanceType: string;
	zone: number;
	instanceId: string;
	handle: string;
};

export const REGION = 'us-east-1';
export const ZONES = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => `${REGION}${letter}`);
export const zoneOf = (agent: Agent): string => ZONES[agent.zone] ?? '';
export const poolOf = (agent: Agent, zone = agent.zone): string => `${agent.instanceType}.${ZONES[zone]}`;

export const registration = (agent: Agent): object => ({
	client_token: agent.token,
	hostname: `ip-10-0-0-1.ec2.internal`,
	instance_id: agent.instanceId,
	instance_type: agent.instanceType,
	region: REGION,
	az: zoneOf(agent),
	ami_id: 'ami-0123456789abcdef0',
	agent_version: '4.0.0',
	logical_agent_id: agent.logicalId,
	mode: 'spot',
	private_ip: '10.0.0.1',
	public_ip: null,
});

export const agentPath = (agent: Agent, rest: string): string => `/api/agents/${agent.handle}/${rest}`;

export const heartbeat = (agent: Agent): Buffer =>
	request('POST', agentPath(agent, 'heartbeat'), agent.token, {
		status: 'online',
		monitored_instances: [agent.instanceId],
		instance_id: agent.instanceId,
		instance_type: agent.instanceType,
		mode: 'spot',
		az: zoneOf(agent),
	});

export const get = (agent: Agent, rest: string): Buffer => request('GET', agentPath(agent, rest), agent.token);

const PRICE = 0.0123;
const COLLECTED = '2021-01-01T00:00:00.000Z';

/** A pricing report of the classic agent with six pools, whose prices and time of collection are written anew before each sending. */
export const pricingReport = (agent: Agent): (() => Buffer) => {
	const pools = ZONES.map((az, zone) => ({ pool_id: poolOf(agent, zone), instance_type: agent.instanceType, az, price: PRICE }));
	const bytes = request('POST', agentPath(agent, 'pricing-report'), agent.token, {
		instance: {
			instance_id: agent.instanceId,
			instance_type: agent.instanceType,
			region: REGION,
			az: zoneOf(agent),
			mode: 'spot',
			pool_id: poolOf(agent),
		},
		pricing: {
			on_demand_price: 0.085,
			current_spot_price: PRICE,
			cheapest_pool: { pool_id: poolOf(agent), price: PRICE },
			spot_pools: pools,
			collected_at: COLLECTED,
		},
	});
	const prices = placesOf(bytes, String(PRICE)).map((at) => at + 2);
	const [collected = 0] = placesOf(bytes, COLLECTED);
	let turn = agent.zone;
	return () => {
		turn++;
		bytes.write(timeNow(), collected, 'latin1');
		for (const [index, at] of prices.entries()) bytes.write(String(1000 + ((turn * 37 + index * 611) % 9000)), at, 'latin1');
		return bytes;
	};
};

const placesOf = (bytes: Buffer, text: string): number[] => {
	const places: number[] = [];
	for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) places.push(at);
	return places;
};

let written = { at: 0, text: '' };

const timeNow = (): string => {
	const at = Date.now();
	if (written.at !== at) written = { at, text: new Date(at).toISOString() };
	return written.text;
};
