/** How a request ended: its HTTP status, or that no answer came. */
export type Outcome = number | 'lost_request' | 'lost_response' | 'failed';

/** Requests by route (`GET /api/agents/:id/config`) and outcome. */
export class Counters {
	readonly #counts = new Map<string, Map<Outcome, number>>();

	add(route: string, outcome: Outcome): void {
		const outcomes = this.#counts.get(route) ?? new Map<Outcome, number>();
		outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
		this.#counts.set(route, outcomes);
	}

	/** How many there were, of one route and outcome, or of all. */
	count(route?: string, outcome?: Outcome): number {
		let sum = 0;
		for (const [name, outcomes] of this.#counts) {
			if (route !== undefined && name !== route) continue;
			for (const [kind, count] of outcomes) if (outcome === undefined || kind === outcome) sum += count;
		}
		return sum;
	}

	/** Everything counted, by route in alphabetical order. */
	table(): { route: string; outcome: Outcome; count: number }[] {
		const rows = [...this.#counts].flatMap(([route, outcomes]) => [...outcomes].map(([outcome, count]) => ({ route, outcome, count })));
		return rows.sort((one, other) => one.route.localeCompare(other.route));
	}

	clear(): void {
		this.#counts.clear();
	}
}

/** The path of an agent's request with its ids replaced; the query stays. `/api/agents/a1/replicas/r2` is `/api/agents/:id/replicas/:id`. */
export const routeOf = (path: string): string =>
	path.replace(/^(.*\/api\/agents\/)(?!register$|uninstall$)[^/?]+/, '$1:id').replace(/\/(commands|replicas)\/[^/?]+/, '/$1/:id');
