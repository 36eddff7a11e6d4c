"""The algorithms of envs/reference.py, each with one mistake that a person might make.

Written out and not derived by editing text: outside the sandbox nothing in this project turns text
into code, its own neither. A test holds each to one changed place.
"""


# -- level 1 ---------------------------------------------------------------------------------------


def count_greater(ns: list[int], k: int) -> int:
    total = 0
    for n in ns:
        if n >= k:
            total += 1
    return total


def alternating_sum(ns: list[int], k: int) -> int:
    total = 0
    for i in range(len(ns)):
        if i % 2 == 1:
            total += ns[i] * k
        else:
            total -= ns[i]
    return total


def sum_of_multiples(ns: list[int], k: int) -> int:
    total = 0
    for n in ns:
        if n % k == 0:
            total += 1
    return total


def first_position(ns: list[int], k: int) -> int:
    for i in range(1, len(ns)):
        if ns[i] > k:
            return i
    return -1


# -- level 2 ---------------------------------------------------------------------------------------


def kth_smallest(ns: list[int], k: int) -> int:
    different = sorted(ns)
    if len(different) < k:
        return 0
    return different[k - 1]


def differences(ns: list[int], k: int) -> list[int]:
    found = []
    for i in range(k + 1, len(ns)):
        found.append(ns[i] - ns[i - k])
    return found


def running_sums(ns: list[int], k: int) -> list[int]:
    total = 0
    found = []
    for n in ns:
        found.append(total)
        total += n * k
    return found


def rotate(ns: list[int], k: int) -> list[int]:
    if not ns:
        return []
    start = k % len(ns)
    return ns[-start:] + ns[:-start]


# -- level 3 ---------------------------------------------------------------------------------------


def best_window(ns: list[int], k: int) -> int:
    best = 0
    for i in range(len(ns) - k):
        total = sum(ns[i : i + k])
        if i == 0 or total > best:
            best = total
    return best


def pairs_with_sum(ns: list[int], k: int) -> int:
    total = 0
    for i in range(len(ns)):
        for j in range(len(ns)):
            if ns[i] + ns[j] == k:
                total += 1
    return total


def longest_rise(ns: list[int], k: int) -> int:
    best = 0
    length = 0
    for i in range(len(ns)):
        if i > 0 and ns[i] >= ns[i - 1] + k:
            length += 1
        else:
            length = 0
        best = max(best, length)
    return best


def groups_by_remainder(ns: list[int], k: int) -> list[list[int]]:
    groups = [[] for _ in range(k)]
    for n in ns:
        groups[n % k].insert(0, n)
    return [group for group in groups if group]


# -- level 4 ---------------------------------------------------------------------------------------


def best_stretch(ns: list[int], k: int) -> int:
    best = 0
    here = 0
    for n in ns:
        here = max(0, here + n) - k
        best = max(best, here)
    return best


def inversions(ns: list[int], k: int) -> int:
    total = 0
    for i in range(len(ns)):
        for j in range(i + 1, len(ns)):
            if ns[i] >= ns[j] + k:
                total += 1
    return total


def clusters(ns: list[int], k: int) -> list[list[int]]:
    found = []
    for n in sorted(ns):
        if found and n - found[-1][1] < k:
            found[-1][1] = n
        else:
            found.append([n, n])
    return found


def most_common(ns: list[int], k: int) -> list[int]:
    counts = {}
    for n in ns:
        counts[n] = counts.get(n, 0) + 1
    ordered = sorted(counts, key=lambda n: (-counts[n], -n))
    return ordered[:k]


# -- level 5 ---------------------------------------------------------------------------------------


def longest_subsequence(ns: list[int], k: int) -> int:
    lengths = []
    for i in range(len(ns)):
        best = 0
        for j in range(i):
            if ns[j] + k <= ns[i] and lengths[j] > best:
                best = lengths[j]
        lengths.append(best + 1)
    return lengths[-1] if lengths else 0


def subset_sums(ns: list[int], k: int) -> int:
    ways = {0: 1}
    for n in ns:
        grown = dict(ways)
        for total in ways:
            grown[total + n] = ways[total]
        ways = grown
    return sum(ways[total] for total in ways if total % k == 0)


def circle(ns: list[int], k: int) -> list[int]:
    left = list(ns)
    order = []
    place = 0
    while left:
        place = (place + k) % len(left)
        order.append(left.pop(place))
    return order


def best_without_neighbours(ns: list[int], k: int) -> int:
    best = [0]
    for i in range(len(ns)):
        before = best[max(0, i - k + 1)]
        best.append(max(best[i], before + ns[i]))
    return best[-1]
