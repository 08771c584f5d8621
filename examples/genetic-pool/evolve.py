"""A genetic algorithm on a Ray cluster: DEAP breeds, Ray evaluates.

It evolves the four gains of a controller that keeps a pole upright on a moving
cart. One evaluation simulates ten seconds of the cart from 32 starts; its
fitness is how long the pole stays up, so that 10 is perfect.

Run it where Ray is, in the head's container:

    docker exec -i HEAD python3 - < evolve.py
    docker exec -i HEAD python3 - --generations 20 --population 96 < evolve.py

`touch /tmp/stop` in the head ends it after the generation that runs, if it was
started with `--stop /tmp/stop`.

Workers may come and go while it runs: an evaluation whose node is lost is
evaluated again elsewhere, and returned once. The exit code is 1 if an
evaluation did not come back, or if a worker was given none.
"""

import argparse
import json
import pathlib
import random
import sys
import time
from collections import Counter

import numpy
import ray
from deap import base, creator, tools
from ray.exceptions import RayError

SECONDS = 10.0
STEP = 0.02
STARTS = 32


def upright_seconds(gains):
    """Simulates the cart under `force = gains · state` and returns the mean
    time, in seconds, until the pole falls or the cart leaves its track.

    The starts are the same for everyone: equal gains have equal fitness.
    """
    gravity, cart, pole, half = 9.8, 1.0, 0.1, 0.5
    gains = numpy.asarray(gains)
    state = numpy.random.default_rng(7).uniform(-0.18, 0.18, (STARTS, 4))
    up = numpy.ones(STARTS, dtype=bool)
    seconds = numpy.zeros(STARTS)
    for _ in range(round(SECONDS / STEP)):
        force = numpy.clip(state @ gains, -10, 10)
        _, speed, angle, turn = state.T
        sin, cos = numpy.sin(angle), numpy.cos(angle)
        push = (force + pole * half * turn**2 * sin) / (cart + pole)
        tilt = (gravity * sin - cos * push) / (half * (4 / 3 - pole * cos**2 / (cart + pole)))
        slide = push - pole * half * tilt * cos / (cart + pole)
        state = state + STEP * numpy.stack([speed, slide, turn, tilt], axis=1)
        up &= (numpy.abs(state[:, 0]) < 2.4) & (numpy.abs(state[:, 2]) < 0.21)
        seconds[up] += STEP
        # A pole that fell lies still: its numbers would grow without bound.
        state[~up] = 0
    return float(seconds.mean())


# SPREAD gives every node its part even where one could take them all. An
# evaluation has no effect but its result, so it may be tried again at will.
@ray.remote(num_cpus=1, scheduling_strategy="SPREAD", max_retries=-1)
def evaluate(number, gains, at_least):
    """Returns (number, fitness, node). It takes `at_least` seconds: what the
    arithmetic leaves of them is slept, as if a larger simulation ran."""
    end = time.monotonic() + at_least
    fitness = upright_seconds(gains)
    time.sleep(max(0.0, end - time.monotonic()))
    return number, fitness, ray.get_runtime_context().get_node_id()


class Pool:
    """Evaluates on the cluster and keeps the books: what was asked, what came
    back, and from where."""

    def __init__(self, at_least):
        self.at_least = at_least
        self.asked = 0
        self.returned = Counter()  # by the evaluation's number
        self.by_node = Counter()
        self.offered = Counter()  # by node: generations that began while it was there
        self.names = {}

    def workers(self):
        """Returns the live nodes that have CPUs: {node ID: CPUs}."""
        alive = {}
        for node in ray.nodes():
            cpus = node["Resources"].get("CPU", 0)
            if node["Alive"] and cpus > 0:
                alive[node["NodeID"]] = cpus
                group = node["Labels"].get("ray.io/node-group", "")
                self.names[node["NodeID"]] = f"{group} {node['NodeManagerHostname']}".strip()
        return alive

    def map(self, function, individuals):
        """Is DEAP's toolbox.map: one fitness for each individual, in order."""
        self.offered.update(self.workers())
        references = [
            function.remote(self.asked + i, list(individual), self.at_least)
            for i, individual in enumerate(individuals)
        ]
        self.asked += len(references)
        while ray.wait(references, num_returns=len(references), timeout=30)[1]:
            if not self.workers():
                print("evolve: no node with CPUs is left; waiting for one", file=sys.stderr, flush=True)
        fitnesses = []
        for reference in references:
            number, fitness, node = ray.get(reference)
            self.returned[number] += 1
            self.by_node[node] += 1
            fitnesses.append((fitness,))
        return fitnesses


def evolve(pool, generations, size, seed, stop=None):
    """Prints the best of each generation and returns the best of all. It ends
    before its time if the file `stop` appears."""
    random.seed(seed)
    creator.create("Fitness", base.Fitness, weights=(1.0,))
    creator.create("Individual", list, fitness=creator.Fitness)
    toolbox = base.Toolbox()
    toolbox.register("gene", random.uniform, -5, 5)
    toolbox.register("individual", tools.initRepeat, creator.Individual, toolbox.gene, 4)
    toolbox.register("mate", tools.cxBlend, alpha=0.4)
    toolbox.register("mutate", tools.mutGaussian, mu=0, sigma=4, indpb=0.5)
    toolbox.register("parent", tools.selTournament, k=1, tournsize=3)
    toolbox.register("evaluate", evaluate)
    toolbox.register("map", pool.map)

    def child(parents):
        one, other = (toolbox.clone(toolbox.parent(parents)[0]) for _ in range(2))
        toolbox.mate(one, other)
        toolbox.mutate(one)
        del one.fitness.values
        return one

    parents = []
    for generation in range(1, generations + 1):
        began = time.monotonic()
        if parents:
            young = [child(parents) for _ in range(size)]
        else:
            young = [toolbox.individual() for _ in range(size)]
        for individual, fitness in zip(young, toolbox.map(toolbox.evaluate, young), strict=True):
            individual.fitness.values = fitness
        parents = tools.selBest(parents + young, size)
        print(
            f"generation {generation:3}  best {parents[0].fitness.values[0]:6.2f}"
            f"  nodes {len(pool.workers())}  {time.monotonic() - began:5.1f} s",
            flush=True,
        )
        if stop and stop.exists():
            break
    return parents[0]


def report(pool, generations, min_nodes):
    """Prints who evaluated what and returns what went wrong, a line each."""
    alive = pool.workers()
    print("evaluations by node:")
    for node in sorted(alive.keys() | pool.by_node.keys(), key=lambda n: (pool.names.get(n, ""), n)):
        there = f"{alive[node]:g} CPUs" if node in alive else "gone"
        print(f"  {pool.names.get(node, '?'):<32} {node[:8]}  {there:>8}  {pool.by_node[node]:6}")
    once = sum(1 for times in pool.returned.values() if times == 1)
    print(f"evaluations asked {pool.asked}, returned {once}, by {len(pool.by_node)} nodes")

    wrong = []
    if once != pool.asked or len(pool.returned) != pool.asked:
        wrong.append(f"{pool.asked} evaluations were asked, {once} came back exactly once")
    for node in sorted(alive.keys() - pool.by_node.keys()):
        # One that joined for the last generation alone may have come too late.
        if pool.offered[node] >= min(2, generations):
            wrong.append(f"node {pool.names[node]} ({node[:8]}) is alive and evaluated nothing")
    if len(pool.by_node) < min_nodes:
        wrong.append(f"{len(pool.by_node)} nodes evaluated, at least {min_nodes} were wanted")
    return wrong


def arguments():
    parser = argparse.ArgumentParser(
        prog="evolve.py", description="Evolve a cart-pole controller on a Ray cluster."
    )
    parser.add_argument("--generations", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--population", type=int, default=24, help="default: %(default)s")
    parser.add_argument(
        "--eval-ms", type=float, default=100, help="least time of one evaluation, in ms; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--min-nodes", type=int, default=1, help="fail if fewer nodes evaluated; default: %(default)s"
    )
    parser.add_argument(
        "--stop", type=pathlib.Path, metavar="FILE", help="end after the generation in which this file appears"
    )
    parser.add_argument("--save", type=pathlib.Path, metavar="FILE", help="write the best gains here, as JSON")
    arguments = parser.parse_args()
    if min(arguments.generations, arguments.population) < 1:
        parser.error("--generations and --population are at least 1")
    return arguments


def main():
    options = arguments()
    ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
    pool = Pool(options.eval_ms / 1000)
    workers = pool.workers()
    if not workers:
        sys.exit("evolve: the cluster has no node with CPUs to evaluate on")
    print(
        f"{options.generations} generations of {options.population}"
        f" on {len(workers)} nodes with {sum(workers.values()):g} CPUs",
        flush=True,
    )
    began = time.monotonic()
    try:
        best = evolve(pool, options.generations, options.population, options.seed, options.stop)
    except RayError as error:
        sys.exit(f"evolve: after {len(pool.returned)} of {pool.asked} evaluations: {error}")
    print(
        f"the best keeps the pole up for {best.fitness.values[0]:.2f} of {SECONDS:g} s,"
        f" found in {time.monotonic() - began:.1f} s; gains {' '.join(f'{gain:.2f}' for gain in best)}"
    )
    if options.save:
        found = {"fitness": best.fitness.values[0], "gains": list(best), "evaluations": pool.asked}
        options.save.write_text(json.dumps(found) + "\n")
        print(f"saved in {options.save}")
    wrong = report(pool, options.generations, options.min_nodes)
    for line in wrong:
        print(f"evolve: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
