// Loops of several callers on one pool, for ThreadSanitizer and for forks: `.ci/full threads` builds and runs it.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/parallel.h"

namespace {

using fastcf::parallel_for;
using fastcf::parallel_graph;

void require(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "wrong: %s\n", what);
    std::_Exit(1);
}

// Every task once, by a thread whose number nobody else has at the time.
void loop(int n_tasks, int n_threads) {
    std::vector<int> counts(static_cast<std::size_t>(n_tasks), 0);  // not atomic: a task has one thread
    std::vector<std::atomic<bool>> taken(static_cast<std::size_t>(n_threads));
    parallel_for(n_tasks, n_threads, [&](std::int64_t task, int thread) {
        require(thread >= 0 && thread < n_threads, "the number of a thread");
        require(!taken[static_cast<std::size_t>(thread)].exchange(true), "two threads of one number");
        counts[static_cast<std::size_t>(task)] += 1;
        parallel_for(3, n_threads, [&](std::int64_t, int inner) { require(inner == 0, "a loop within a task"); });
        taken[static_cast<std::size_t>(thread)].store(false);
    });
    for (const int count : counts) require(count == 1, "how often a task ran");
}

// Tasks that add what two earlier ones have.
void graph(int n_tasks, int n_threads) {
    std::vector<double> sums(static_cast<std::size_t>(n_tasks), 1.0);
    parallel_graph(
        n_tasks, n_threads, [](std::int64_t task) { return fastcf::TaskAfter{task - 1, task >= 7 ? task - 7 : -1}; },
        [&](std::int64_t task, int) {
            const auto t = static_cast<std::size_t>(task);
            if (t > 0) sums[t] += sums[t - 1];
        });
    require(n_tasks == 0 || sums.back() == n_tasks, "the order of tasks");
}

void failure(int n_tasks, int n_threads) {
    std::string caught;
    try {
        parallel_for(n_tasks, n_threads, [&](std::int64_t task, int) {
            if (task == n_tasks / 2) throw std::runtime_error("planted");
        });
    } catch (const std::runtime_error& error) {
        caught = error.what();
    }
    require(caught == "planted", "an exception");
}

void work(unsigned seed, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const unsigned kind = (seed + static_cast<unsigned>(round) * 7U) % 5U;
        const int threads = 1 + static_cast<int>((seed + static_cast<unsigned>(round)) % 6U);
        if (kind < 3) loop(1 + round % 40, threads);
        if (kind == 3) graph(1 + round % 40, threads);
        if (kind == 4) failure(1 + round % 40, threads);
    }
}

void work_from(int callers, int rounds) {
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller) threads.emplace_back(work, static_cast<unsigned>(caller), rounds);
    for (std::thread& thread : threads) thread.join();
}

// Children of a process whose threads are in loops.
void fork_beside(int callers, int children) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller)
        threads.emplace_back([&stop, caller] {
            while (!stop.load()) work(static_cast<unsigned>(caller), 50);
        });
    for (int child = 0; child < children; ++child) {
        work(static_cast<unsigned>(child), 5);
        const pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            work(static_cast<unsigned>(child), 100);
            std::_Exit(fastcf::thread_pool->forks() == 1 ? 0 : 2);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child");
    }
    stop.store(true);
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
    fastcf::thread_pool = &fastcf::own_thread_pool();
    if (argc > 1 && std::string(argv[1]) == "fork") {
        fork_beside(3, 200);
    } else {
        work_from(4, 20'000);
    }
    std::puts("right");
}
