#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/optimizer.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;

// What remains of a decay after n steps: from the table, as far as it goes.
struct Powers {
    Global<const double> table;
    std::int64_t size;
    double decay;
    FASTCF_DEVICE double at(std::int64_t n) const { return n < size ? table[n] : pow(decay, static_cast<double>(n)); }
};

struct Rule {
    OptimizerKind kind;
    double learning_rate, second_decay, epsilon, weight_decay;
    Powers powers, second_powers;
    Coast<double> once;
    Global<const double> coasts;
    std::int64_t n_coasts;
};

template <class T>
FASTCF_DEVICE OptimizerStep<T> step_of(const Rule& rule, std::int64_t step) {
    const bool adam = rule.kind == OptimizerKind::adam;
    return optimizer_step_of<T>(rule.kind, rule.learning_rate, rule.powers.decay, rule.second_decay, rule.epsilon,
                                rule.weight_decay, adam ? rule.powers.at(step) : 0.0,
                                adam ? rule.second_powers.at(step) : 0.0);
}

// What n steps without a gradient come to.
template <class T>
FASTCF_DEVICE Coast<T> coast_at(const Rule& rule, std::int64_t n) {
    if (rule.weight_decay == 0) return coast_of<T>(coast_freely(rule.kind, rule.powers.decay, rule.powers.at(n)));
    if (n >= rule.n_coasts) return coast_of<T>(coast_often(rule.once, n));
    const double pp = rule.coasts[4 * n], pv = rule.coasts[4 * n + 1];
    const double vp = rule.coasts[4 * n + 2], vv = rule.coasts[4 * n + 3];
    return coast_of<T>({pp, pv, vp, vv});
}

// Parameters, gradient and what is remembered, one element of each.
template <class T>
FASTCF_DEVICE void step_element(OptimizerKind kind, const OptimizerStep<T>& s, T slope, T* p, T* first, T* second) {
    const T g = penalised(slope, s.weight_decay, *p);
    switch (kind) {
        case OptimizerKind::gradient_descent:
            gradient_descent_step(s, g, p);
            break;
        case OptimizerKind::momentum:
            momentum_step(s, g, p, first);
            break;
        case OptimizerKind::nesterov:
            nesterov_step(s, g, p, first);
            break;
        case OptimizerKind::adagrad:
            adagrad_step(s, g, p, first);
            break;
        case OptimizerKind::adadelta:
            adadelta_step(s, g, p, first, second);
            break;
        case OptimizerKind::adam:
            adam_step(s, g, p, first, second);
            break;
    }
}

// N neighbouring elements: a chunk, which is 16 bytes, or one.
template <class T, int N>
struct Run {
    FASTCF_DEVICE static void load(Global<const T> from, T (&to)[N]) {
        if constexpr (N == 1) {
            const T value = from[0];
            to[0] = value;
        } else {
            load_chunk(from, to);
        }
    }
    FASTCF_DEVICE static void store(Global<T> to, const T (&from)[N]) {
        if constexpr (N == 1)
            to[0] = from[0];
        else
            store_chunk(to, from);
    }
    FASTCF_DEVICE static void load_kept(Global<T> from, T (&to)[N]) {  // null: not kept
        if (from != nullptr) load(from, to);
    }
};

template <class T>
FASTCF_DEVICE Global<T> advance(Global<T> array, std::int64_t n) {
    return array == nullptr ? array : array + n;
}

// A step of N elements; where rows are behind they are moved on first.
template <class T, int N>
FASTCF_DEVICE void step_run(OptimizerKind kind, const OptimizerStep<T>& s, const Coast<T>& missed, bool behind,
                            Global<T> parameters, Global<const T> gradient, Global<T> first, Global<T> second) {
    T p[N], g[N], a[N] = {}, b[N] = {};
    Run<T, N>::load(parameters, p);
    Run<T, N>::load(gradient, g);
    Run<T, N>::load_kept(first, a);
    Run<T, N>::load_kept(second, b);
    for (int i = 0; i < N; ++i) {
        if (behind) coast(missed, p + i, a + i);
        step_element(kind, s, g[i], p + i, a + i, b + i);
    }
    Run<T, N>::store(parameters, p);
    if (first != nullptr) Run<T, N>::store(first, a);
    if (second != nullptr) Run<T, N>::store(second, b);
}

// 12 (gradient descent) to 28 bytes (AdaDelta, Adam) per float32 parameter: bound by memory, on an H200 at most 400 to
// 170 G parameters/s. 256 threads, a chunk each. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void step_kernel(OptimizerKind kind, OptimizerStep<T> s, bool chunks, std::int64_t n, Global<T> parameters,
                 Global<const T> gradient, Global<T> first, Global<T> second) {
    const std::int64_t begin = global_thread() * kChunk<T>;
    const auto run = [&](auto size, std::int64_t i) {
        step_run<T, size()>(kind, s, Coast<T>{}, false, parameters + i, gradient + i, advance(first, i),
                            advance(second, i));
    };
    if (chunks && begin + kChunk<T> <= n)
        run(std::integral_constant<int, kChunk<T>>(), begin);
    else
        for (std::int64_t i = begin; i < n && i < begin + kChunk<T>; ++i) run(std::integral_constant<int, 1>(), i);
}

template <class T>
struct State {
    Global<T> parameters, first, second;
    Global<std::int64_t> row_steps;
    std::int64_t cols, stride;
};

// What a row remembers of steps, in all its lanes; the first one reads it, for it will write it. 0 where not kept.
template <class T>
FASTCF_DEVICE std::int64_t row_steps_of(const State<T>& state, std::int64_t row, int lane) {
    std::int64_t steps = 0;
    if (row >= 0 && lane == 0 && state.row_steps != nullptr) steps = state.row_steps[row];
    return shuffle(steps, lane_index() - lane);
}

// The same for named rows, with `lanes` neighbouring threads to a row. Adds 12 to 20 bytes per row, and a look into a
// table of powers. 256 threads. Deterministic.
template <class T, int N>
FASTCF_KERNEL(kThreads, sizeof(T) == 4 ? 4 : 3)
void step_rows_kernel(Rule rule, OptimizerStep<T> shared, std::int64_t step, State<T> state,
                      Global<const std::int32_t> rows, std::int64_t n_rows, Global<const T> gradient,
                      std::int64_t gradient_stride, int lanes) {
    const std::int64_t r = global_thread() / lanes;
    const int lane = static_cast<int>(global_thread() % lanes);
    const bool adam = rule.kind == OptimizerKind::adam, moves = moves_untouched(rule.kind, rule.weight_decay);
    const std::int64_t row = r < n_rows ? rows[r] : -1;
    OptimizerStep<T> s = shared;
    Coast<T> missed{};
    bool behind = false;
    const std::int64_t known = row_steps_of(state, row, lane);
    const std::int64_t steps = adam ? known + 1 : step;
    if (row >= 0 && adam) {
        s = step_of<T>(rule, steps);
    } else if (row >= 0 && moves) {
        const std::int64_t n = step - 1 - known;
        behind = n > 0;
        if (behind) missed = coast_at<T>(rule, n);
    }
    if (row < 0) return;
    if (lane == 0 && (adam || moves)) state.row_steps[row] = steps;
    for (std::int64_t i = lane * N; i < state.cols; i += lanes * N) {
        const std::int64_t e = row * state.stride + i;
        step_run<T, N>(rule.kind, s, missed, behind, state.parameters + e, gradient + (r * gradient_stride + i),
                       advance(state.first, e), advance(state.second, e));
    }
}

// Brings rows, all of them where `rows` is null, to where they are after `step` steps. 16 bytes per float32 parameter
// of a row that is behind, 8 per row else: bound by memory, on an H200 at most 300 G parameters/s. 256 threads, `lanes`
// to a row. Deterministic.
template <class T, int N>
FASTCF_KERNEL(kThreads)
void coast_kernel(Rule rule, std::int64_t step, State<T> state, Global<const std::int32_t> rows, std::int64_t n_rows,
                  int lanes) {
    const std::int64_t r = global_thread() / lanes;
    const int lane = static_cast<int>(global_thread() % lanes);
    const std::int64_t row = r >= n_rows ? -1 : rows == nullptr ? r : rows[r];
    const std::int64_t n = step - row_steps_of(state, row, lane);
    if (row < 0 || n <= 0) return;
    if (lane == 0) state.row_steps[row] = step;
    const Coast<T> missed = coast_at<T>(rule, n);
    for (std::int64_t i = lane * N; i < state.cols; i += lanes * N) {
        const Global<T> place = state.parameters + (row * state.stride + i);
        const Global<T> velocity = advance(state.first, row * state.stride + i);
        T p[N], v[N] = {};
        Run<T, N>::load(place, p);
        Run<T, N>::load_kept(velocity, v);
        for (int j = 0; j < N; ++j) coast(missed, p + j, v + j);
        Run<T, N>::store(place, p);
        if (velocity != nullptr) Run<T, N>::store(velocity, v);
    }
}

// The arrays of a state for the time of a call.
template <class T>
struct StagedState {
    explicit StagedState(const OptimizerRows<T>& state)
        : StagedState(state, extent(state.rows, state.cols, state.stride)) {}
    StagedState(const OptimizerRows<T>& state, std::int64_t n)
        : parameters(state.parameters, n),
          first(state.first, n),
          second(state.second, n),
          row_steps(state.row_steps, state.rows),
          parts{parameters.data(), first.data(), second.data(), row_steps.data(), state.cols, state.stride} {}
    void finish() const {
        parameters.finish();
        first.finish();
        second.finish();
        row_steps.finish();
    }
    InOut<T> parameters, first, second;
    InOut<std::int64_t> row_steps;
    State<T> parts;
};

struct StagedRule {
    StagedRule(const Optimizer& optimizer, double learning_rate)
        : powers(optimizer.powers), second_powers(optimizer.second_powers), coasts(optimizer.coasts) {
        rule.kind = optimizer.kind;
        rule.learning_rate = learning_rate;
        rule.second_decay = optimizer.second_decay;
        rule.epsilon = optimizer.epsilon;
        rule.weight_decay = optimizer.weight_decay;
        rule.once = coast_once(optimizer);
        rule.coasts = coasts.data();
        rule.n_coasts = optimizer.coasts.size / 4;
        rule.powers = {powers.data(), optimizer.powers.size, optimizer.decay};
        rule.second_powers = {second_powers.data(), optimizer.second_powers.size, optimizer.second_decay};
    }
    In<double> powers, second_powers, coasts;
    Rule rule{};
};

// Threads to a row: a power of two, up to a warp.
int lanes_for(std::int64_t cols, int size) {
    int lanes = 1;
    while (lanes < kWarp && lanes * size < cols) lanes *= 2;
    return lanes;
}

// Calls body with the elements a thread takes at a time, as a constant, and the lanes of a row; no gradient: null.
template <class T, class Body>
void with_run(const StagedState<T>& state, const T* gradient, std::int64_t gradient_stride, Body&& body) {
    constexpr int kSize = kChunk<T>;
    const std::int64_t cols = state.parts.cols, stride = state.parts.stride;
    const auto whole = [&](const T* array) { return in_chunks(array, cols, stride); };
    if (whole(state.parameters.data()) && whole(state.first.data()) && whole(state.second.data()) &&
        in_chunks(gradient, cols, gradient_stride))
        body(std::integral_constant<int, kSize>(), lanes_for(cols, kSize));
    else
        body(std::integral_constant<int, 1>(), lanes_for(cols, 1));
}

void check_host_rows(VectorView<const std::int32_t> rows, std::int64_t limit) {
    if (!device_only(rows.data)) check_optimizer_rows(rows, limit);
}

template <class T>
OptimizerStep<T> host_step(const Optimizer& o, double learning_rate, std::int64_t step) {
    const auto n = static_cast<double>(step);
    return optimizer_step_of<T>(o.kind, learning_rate, o.decay, o.second_decay, o.epsilon, o.weight_decay,
                                std::pow(o.decay, n), std::pow(o.second_decay, n));
}

template <class T>
void coast_rows(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, const std::int32_t* rows,
                std::int64_t n_rows) {
    if (!moves_untouched(optimizer.kind, optimizer.weight_decay)) return;
    const StagedRule rule(optimizer, 0.0);
    const StagedState<T> staged(state);
    const In<std::int32_t> staged_rows(rows, n_rows);
    with_run<T>(staged, nullptr, state.stride, [&](auto size, int lanes) {
        FASTCF_LAUNCH((coast_kernel<T, size()>), blocks_for(n_rows * lanes, kThreads), kThreads, 0, rule.rule, step,
                      staged.parts, staged_rows.data(), n_rows, lanes);
    });
    staged.finish();
}

template <class T>
void step_rows(const Optimizer& optimizer, double learning_rate, std::int64_t step, const OptimizerRows<T>& state,
               VectorView<const std::int32_t> rows, const T* gradient, std::int64_t gradient_stride) {
    const StagedRule rule(optimizer, learning_rate);
    const StagedState<T> staged(state);
    const In<std::int32_t> staged_rows(rows);
    const In<T> g(gradient, extent(rows.size, state.cols, gradient_stride));
    with_run<T>(staged, g.data(), gradient_stride, [&](auto size, int lanes) {
        FASTCF_LAUNCH((step_rows_kernel<T, size()>), blocks_for(rows.size * lanes, kThreads), kThreads, 0, rule.rule,
                      host_step<T>(optimizer, learning_rate, step), step, staged.parts, staged_rows.data(), rows.size,
                      g.data(), gradient_stride, lanes);
    });
    staged.finish();
}

}  // namespace

template <class T>
void optimizer_step(const Optimizer& optimizer, double learning_rate, std::int64_t step, std::int64_t n, T* parameters,
                    const T* gradient, T* first, T* second, int) {
    check_optimizer_step(step);
    const InOut<T> p(parameters, n), a(first, n), b(second, n);
    const In<T> g(gradient, n);
    const auto whole = [](const T* array) { return in_chunks(array, 0, 0); };
    const bool chunks = whole(p.data()) && whole(g.data()) && whole(a.data()) && whole(b.data());
    FASTCF_LAUNCH(step_kernel<T>, blocks_for(n, std::int64_t{kThreads} * kChunk<T>), kThreads, 0, optimizer.kind,
                  host_step<T>(optimizer, learning_rate, step), chunks, n, p.data(), g.data(), a.data(), b.data());
    p.finish();
    a.finish();
    b.finish();
}

template <class T>
void optimizer_step_rows(const Optimizer& optimizer, double learning_rate, std::int64_t step,
                         const OptimizerRows<T>& state, VectorView<const std::int32_t> rows, const T* gradient,
                         std::int64_t gradient_stride, int) {
    check_optimizer_step(step);
    check_host_rows(rows, state.rows);
    step_rows(optimizer, learning_rate, step, state, rows, gradient, gradient_stride);
}

template <class T>
void optimizer_catch_up(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state,
                        VectorView<const std::int32_t> rows, int) {
    if (!moves_untouched(optimizer.kind, optimizer.weight_decay)) return;
    check_host_rows(rows, state.rows);
    if (rows.size > 0) coast_rows(optimizer, step, state, rows.data, rows.size);
}

template <class T>
void optimizer_flush(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, int) {
    coast_rows<T>(optimizer, step, state, nullptr, state.rows);
}

FASTCF_INSTANTIATE_OPTIMIZER(float)
FASTCF_INSTANTIATE_OPTIMIZER(double)

}  // namespace fastcf
