import { BlockList, isIP } from 'node:net';
import { SpotError } from '../errors.ts';

/** One request to a receiver; `timeoutMs` is for all of it. */
export type WebhookRequest = {
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	readonly timeoutMs: number;
	readonly signal: AbortSignal;
	/** Why an address is not called, or null; asked of every address that the host's name stands for, when it is connected to. */
	readonly refuse: (address: string) => string | null;
};

/**
 * How webhooks are called. Answers whatever the receiver says, redirects included, with at most the first 4 KB of its text; throws where
 * there is no answer. Follows no redirect.
 */
export type PostWebhook = (request: WebhookRequest) => Promise<{ readonly status: number; readonly text: string }>;

const listOf = (ranges: readonly string[]): BlockList => {
	const list = new BlockList();
	for (const range of ranges) {
		const [address = '', bits] = range.split('/');
		const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
		if (bits === undefined) list.addAddress(address, family);
		else list.addSubnet(address, Number(bits), family);
	}
	return list;
};

/** Link-local and metadata addresses of clouds, "this host", multicast, reserved: no receiver is there, but the credentials of a machine may be. */
const REFUSED = listOf([
	'0.0.0.0/8',
	'169.254.0.0/16',
	'100.100.100.200',
	'192.0.0.192',
	'168.63.129.16',
	'224.0.0.0/4',
	'240.0.0.0/4',
	'::/128',
	'fe80::/10',
	'fd00:ec2::/32',
	'fd20:ce::254',
	'ff00::/8',
]);

/** The IPv4 address that some IPv6 addresses stand for (mapped, compatible, NAT64, 6to4), which a connection would reach; else null. */
const embedded = (address: string): string | null => {
	if (isIP(address) !== 6) return null;
	// Written by the URL parser in one way: without it there are several for the same address.
	const [head = '', tail = ''] = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
	const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
	const [front, back] = [words(head), words(tail)];
	const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back].map((word) =>
		Number.parseInt(word, 16),
	);
	const v4 = (high = 0, low = 0): string => [high >> 8, high & 255, low >> 8, low & 255].join('.');
	const zero = (count: number): boolean => all.slice(0, count).every((word) => word === 0);
	if (all[0] === 0x2002) return v4(all[1], all[2]);
	if (all[0] === 0x64 && all[1] === 0xff9b) return v4(all[6], all[7]);
	if (zero(5) && all[5] === 0xffff) return v4(all[6], all[7]);
	return zero(6) && (all[6] !== 0 || (all[7] ?? 0) > 1) ? v4(all[6], all[7]) : null;
};

const holds = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Tells of an address why webhooks do not call it; null where they do. `allowed`: addresses and CIDR ranges that they call all the same. */
export const addressGuard = (allowed: readonly string[]): ((address: string) => string | null) => {
	const free = listOf(allowed);
	return (given) => {
		const address = given.split('%')[0] ?? '';
		const [inner, known] = [embedded(address), isIP(address) !== 0];
		if (known && [address, ...(inner === null ? [] : [inner])].some((each) => holds(free, each))) return null;
		const refused = !known || holds(REFUSED, address) || (inner !== null && holds(REFUSED, inner));
		return refused ? `${given} is a link-local, metadata or reserved address, which webhooks do not call` : null;
	};
};

/** The address of a receiver in one way of writing. Errors: 400 for what is not called. */
export const webhookAddress = (given: string, refuse: (address: string) => string | null): string => {
	const invalid = (problem: string): SpotError =>
		new SpotError('invalid', 'VALIDATION_ERROR', `url: ${problem}`, {
			hint: 'give the http or https address of a receiver, such as https://hooks.example.com/spot',
			extras: { details: { url: [problem] } },
		});
	if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) throw invalid('must be an http or https URL');
	const url = new URL(given);
	if (url.username !== '' || url.password !== '') throw invalid('must not hold a user or password');
	url.hash = '';
	const host = url.hostname.replace(/^\[|\]$/g, '');
	const problem = isIP(host) === 0 ? null : refuse(host);
	if (problem !== null) throw invalid(`${problem}; allow it: notifications.webhookAllowed`);
	if (url.href.length > 2048) throw invalid('must not be longer than 2048 characters');
	return url.href;
};
