/** One thing to happen at a simulated instant. `run` is dropped when it is cancelled. */
export type Entry = {
	readonly at: number;
	readonly seq: number;
	readonly name: string;
	/** Set for timers of a program under test, which may fire early when that program waits on them (see SimClock). */
	readonly timer: boolean;
	run: (() => unknown) | undefined;
};

/** A priority queue by time, then by order of arrival. Cancelled entries are skipped. */
export class Timeline {
	#heap: Entry[] = [];

	push(entry: Entry): void {
		const heap = this.#heap;
		let index = heap.push(entry) - 1;
		while (index > 0) {
			const parent = (index - 1) >> 1;
			const above = heap[parent];
			if (above === undefined || !isBefore(entry, above)) break;
			heap[index] = above;
			index = parent;
		}
		heap[index] = entry;
	}

	/** The next live entry, left in place. */
	peek(): Entry | undefined {
		for (;;) {
			const first = this.#heap[0];
			if (first === undefined || first.run !== undefined) return first;
			this.#removeFirst();
		}
	}

	/** Takes the next live entry out. */
	pop(): Entry | undefined {
		const first = this.peek();
		if (first !== undefined) this.#removeFirst();
		return first;
	}

	/** The earliest live timer of a program under test, left in place. Linear: asked for only when something waits on it. */
	firstTimer(): Entry | undefined {
		let first: Entry | undefined;
		for (const entry of this.#heap) if (entry.timer && entry.run !== undefined && (!first || isBefore(entry, first))) first = entry;
		return first;
	}

	/** Entries held, cancelled ones included. */
	get size(): number {
		return this.#heap.length;
	}

	#removeFirst(): void {
		const heap = this.#heap;
		const last = heap.pop();
		if (last === undefined || heap.length === 0) return;
		let index = 0;
		for (;;) {
			const left = heap[2 * index + 1];
			const right = heap[2 * index + 2];
			const useRight = right !== undefined && left !== undefined && isBefore(right, left);
			const child = useRight ? right : left;
			if (child === undefined || !isBefore(child, last)) break;
			heap[index] = child;
			index = useRight ? 2 * index + 2 : 2 * index + 1;
		}
		heap[index] = last;
	}
}

const isBefore = (one: Entry, other: Entry): boolean => one.at < other.at || (one.at === other.at && one.seq < other.seq);
