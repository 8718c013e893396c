// The threads of the process, which all its loops share (core/parallel.h), and how many a loop takes by default.
#pragma once

namespace fastcf {

inline constexpr int kMostThreads = 1024;

class ThreadPool {
  public:
    using Work = void (*)(void* context, int thread);

    // Calls work(context, 0), and meanwhile work(context, t) in each idle thread of the pool that comes, t in
    // [1, threads) in the order in which they come. Returns when all that came are done; nobody waits for one that has
    // not come, so `work` must do all tasks with any number of threads and must not throw. Any thread may call, while
    // others do. Where the system refuses a thread, there are fewer. Throws std::runtime_error in the child of a
    // process that forked within `work`, if threads that the child lacks were taking part.
    virtual void run(int threads, Work work, void* context) = 0;

    // How many threads a loop takes that says nothing: those of the calling thread's own limit, else of the process.
    virtual int default_threads() const = 0;
    virtual void set_default_threads(int threads) = 0;
    // Limits what the calling thread takes by default; 0: no limit of its own. Returns the one before.
    virtual int limit_calling_thread(int threads) = 0;

    // Whether the calling thread is one of the pool's.
    virtual bool has_calling_thread() const = 0;

    // How often the process has forked on its way here: a loop compares it to tell whether its threads are still there.
    virtual int forks() const = 0;

  protected:
    ~ThreadPool() = default;
};

// The pool of the process: made by one module, which lends it to the others when they are loaded. Without one, loops
// run in the calling thread.
inline ThreadPool* thread_pool = nullptr;

// The pool that the module has which is linked with thread_pool.cpp.
ThreadPool& own_thread_pool();

}  // namespace fastcf
