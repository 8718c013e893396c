#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace fastcf {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread that waits spins before it sleeps: small loops follow each other faster than a sleeping thread
// wakes.
constexpr std::chrono::microseconds kSpin{30};

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Spinning pays where most waits are short. Elsewhere, above all on a machine that other programs use too, it only
// takes time from the thread that is waited for. So what the last waits took decides.
class Patience {
  public:
    // Returns when `ready` came true, or soon after.
    template <class Ready>
    void spin_until(Ready&& ready) const {
        if (credit_.load(std::memory_order_relaxed) < 0) return;
        for (const auto end = Clock::now() + kSpin; Clock::now() < end;) {
            for (int looks = 0; looks < 32; ++looks) {
                if (ready()) return;
                pause();
            }
        }
    }
    // How long a thread waited, without the time that it took to wake; under the pool's mutex.
    void learn(Clock::duration waited) {
        const int credit = credit_.load(std::memory_order_relaxed) + (waited < kSpin ? 1 : -1);
        credit_.store(std::clamp(credit, -kMost, kMost - 1), std::memory_order_relaxed);
    }

  private:
    static constexpr int kMost = 8;
    std::atomic<int> credit_{0};
};

// Python's signals are for the threads that it knows; of those that a fault raises, its fault handler wants to hear.
class BlockedSignals {
  public:
#if defined(_WIN32)
    BlockedSignals() {}
#else
    BlockedSignals() {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&blocked, fault);
        pthread_sigmask(SIG_SETMASK, &blocked, &before_);
    }
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;

  public:
#endif
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
};

// A call of run(), on the stack of its thread.
struct Job {
    ThreadPool::Work work;
    void* context;
    int threads;                  // that may come, the caller among them
    int came = 1;                 // that have come; under the pool's mutex, as the next three
    Job* next = nullptr;          // open after this one
    bool open = false;            // whether threads may still come
    Clock::time_point left = {};  // when the last of them left
    std::atomic<int> working{0};  // threads beside the caller; changed under the mutex
};

thread_local int limit_of_thread = 0;
thread_local bool of_pool = false;

// Never destroyed: its threads wait in it until the process is gone.
class OwnThreadPool final : public ThreadPool {
  public:
    OwnThreadPool() {
        set_default_threads(
            static_cast<int>(std::min<unsigned>(std::thread::hardware_concurrency(), unsigned{kMostThreads})));
    }

    void run(int threads, Work work, void* context) override {
        Job job{work, context, std::min(threads, kMostThreads)};
        const int before = forks();
        open(job);
        work(context, 0);
        if (forks() == before) {
            close(job);
        } else if (job.working.load() > 0) {
            throw std::runtime_error(
                "this process was forked in the middle of a computation on several threads, by a signal handler, and "
                "its child cannot finish it: fork elsewhere, or compute on one thread");
        }
    }

    int default_threads() const override {
        return limit_of_thread > 0 ? limit_of_thread : default_threads_.load(std::memory_order_relaxed);
    }
    void set_default_threads(int threads) override {
        default_threads_.store(std::clamp(threads, 1, kMostThreads), std::memory_order_relaxed);
    }
    int limit_calling_thread(int threads) override {
        return std::exchange(limit_of_thread, std::clamp(threads, 0, kMostThreads));
    }
    bool has_calling_thread() const override { return of_pool; }
    int forks() const override { return forks_.load(std::memory_order_relaxed); }

    // In a forked child, which has its parent's memory, locks as they were, and none of its threads.
    void start_anew() {
        new (&mutex_) std::mutex;
        new (&wake_) std::condition_variable;
        new (&left_) std::condition_variable;
        first_open_.store(nullptr, std::memory_order_relaxed);
        threads_ = spinning_ = sleeping_ = 0;
        forks_.fetch_add(1, std::memory_order_relaxed);
    }

  private:
    // Lets threads come, and wakes those that are needed beside the ones that look for work already.
    void open(Job& job) {
        const int wanted = job.threads - 1;
        int wakened = 0, sleeping = 0;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            while (threads_ < wanted && add_thread()) {
            }
            job.open = true;
            job.next = first_open_.load(std::memory_order_relaxed);
            first_open_.store(&job, std::memory_order_release);
            opened_ = Clock::now();
            sleeping = sleeping_;
            wakened = std::min(sleeping, wanted - spinning_);
        }
        if (wakened == sleeping && sleeping > 1) {
            wake_.notify_all();
        } else {
            for (int i = 0; i < wakened; ++i) wake_.notify_one();
        }
    }

    // Lets no more threads come, and waits for those that came.
    void close(Job& job) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            shut(job);
            if (job.working.load(std::memory_order_relaxed) == 0) return;
        }
        const auto since = Clock::now();
        const auto is_left = [&] { return job.working.load(std::memory_order_relaxed) == 0; };
        for_the_last_.spin_until(is_left);
        // Under the mutex, so that the last thread no longer looks at the job.
        std::unique_lock<std::mutex> lock(mutex_);
        left_.wait(lock, is_left);
        for_the_last_.learn(job.left - since);
    }

    // Takes a job from the list; under the mutex, as what follows.
    void shut(Job& job) {
        if (!job.open) return;
        job.open = false;
        if (Job* before = first_open_.load(std::memory_order_relaxed); before == &job) {
            first_open_.store(job.next, std::memory_order_relaxed);
        } else {
            while (before->next != &job) before = before->next;
            before->next = job.next;
        }
    }

    bool add_thread() {
        try {
            const BlockedSignals blocked;
            std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        ++threads_;
        ++spinning_;
        return true;
    }

    // What a thread of the pool does: takes part in the newest open job, for as long as there is one; short ones are
    // asked for beside long ones.
    [[noreturn]] void serve() {
        of_pool = true;
        const auto is_open = [this] { return first_open_.load(std::memory_order_acquire) != nullptr; };
        std::unique_lock<std::mutex> lock(mutex_, std::defer_lock);
        for (;;) {
            const auto since = Clock::now();
            for_work_.spin_until(is_open);
            lock.lock();
            --spinning_;
            ++sleeping_;
            wake_.wait(lock, is_open);
            --sleeping_;
            for_work_.learn(opened_ - since);
            while (is_open()) take_part(*first_open_.load(std::memory_order_relaxed), lock);
            ++spinning_;
            lock.unlock();
        }
    }

    void take_part(Job& job, std::unique_lock<std::mutex>& lock) {
        const int thread = job.came++;
        if (job.came == job.threads) shut(job);
        job.working.fetch_add(1, std::memory_order_relaxed);
        lock.unlock();
        job.work(job.context, thread);
        lock.lock();
        shut(job);  // there is nothing left to do
        job.left = Clock::now();
        if (job.working.fetch_sub(1, std::memory_order_relaxed) == 1) left_.notify_all();
    }

    std::atomic<int> default_threads_{1};
    std::atomic<int> forks_{0};
    std::mutex mutex_;
    std::condition_variable wake_;                   // a job is open
    std::condition_variable left_;                   // a job's last thread has left
    std::atomic<Job*> first_open_{nullptr};          // written under the mutex
    Clock::time_point opened_;                       // when the last job was
    Patience for_work_, for_the_last_;               // of the pool's threads, and of those that call
    int threads_ = 0, spinning_ = 0, sleeping_ = 0;  // of the pool; the rest of the first work
};

}  // namespace

ThreadPool& own_thread_pool() {
    static OwnThreadPool* const pool = [] {
        static auto* const made = new OwnThreadPool;
#if !defined(_WIN32)
        pthread_atfork(nullptr, nullptr, [] { made->start_anew(); });
#endif
        return made;
    }();
    return *pool;
}

}  // namespace fastcf
