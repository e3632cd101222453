// Result<T>: a value, or why there is none.  For what the world may answer (a
// full disk, a dropped peer, a bad line).  Answers of the mail protocol (550,
// "no such key") are values of their own; broken promises of ours go to ensure().
#pragma once

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace bulkhead
{

enum class Fault {
    io,        // a system call failed; see Error::number
    closed,    // the peer is gone
    timeout,   // the deadline passed
    cancelled, // the session is being ended
    malformed, // bytes that do not parse
    limit,     // more than the limit allows
    not_found, // no such thing
    refused,   // not allowed, or the peer said no
    config,    // the configuration is wrong
    broken,    // a service or table that should answer does not
};

// A fault, a sentence for the log, and the errno where there was one.
struct Error {
    Error(Fault f, std::string text, int errno_value = 0)
        : fault(f), context(std::move(text)), number(errno_value)
    {
    }

    Fault fault;
    std::string context;
    int number = 0;
};

// Error{Fault::io, "open /x: No such file or directory", ENOENT} from errno.
Error system_error(std::string what, int number = errno);

template <typename T = void> class [[nodiscard]] Result
{
public:
    using value_type = T;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const noexcept { return state_.index() == 0; }
    T& operator*() & { return std::get<0>(state_); }
    const T& operator*() const& { return std::get<0>(state_); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &std::get<0>(state_); }
    const T* operator->() const { return &std::get<0>(state_); }
    const Error& error() const { return std::get<1>(state_); }
    T value_or(T fallback) && { return *this ? std::get<0>(std::move(state_)) : std::move(fallback); }

private:
    std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Result<void>
{
public:
    using value_type = void;

    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const noexcept { return !error_; }
    void operator*() const {}
    const Error& error() const { return *error_; }

private:
    std::optional<Error> error_;
};

// Ends the process with a log line when we broke our own promise.
void ensure(bool promise, std::string_view what);

// Where ensure() and fatal paths write before a logger exists; set by log/.
using PanicSink = void (*)(std::string_view text);
void set_panic_sink(PanicSink sink);

} // namespace bulkhead

#define BH_JOIN_(a, b) a##b
#define BH_JOIN(a, b) BH_JOIN_(a, b)

// TRY(const auto x, f());  declares x from a Result, or returns its error.
#define TRY(declaration, ...)                                                                                \
    auto BH_JOIN(bh_try_, __LINE__) = (__VA_ARGS__);                                                         \
    if (!BH_JOIN(bh_try_, __LINE__))                                                                         \
        return BH_JOIN(bh_try_, __LINE__).error();                                                           \
    declaration = *std::move(BH_JOIN(bh_try_, __LINE__))

// TRY_VOID(f());  returns the error of a Result whose value is not wanted.
#define TRY_VOID(...)                                                                                        \
    do {                                                                                                     \
        if (auto bh_try_ = (__VA_ARGS__); !bh_try_)                                                          \
            return bh_try_.error();                                                                          \
    } while (false)

// The same in coroutines.
#define CO_TRY(declaration, ...)                                                                             \
    auto BH_JOIN(bh_try_, __LINE__) = __VA_ARGS__;                                                           \
    if (!BH_JOIN(bh_try_, __LINE__))                                                                         \
        co_return BH_JOIN(bh_try_, __LINE__).error();                                                        \
    declaration = *std::move(BH_JOIN(bh_try_, __LINE__))

#define CO_TRY_VOID(...)                                                                                     \
    {                                                                                                        \
        auto bh_try_ = __VA_ARGS__;                                                                          \
        if (!bh_try_)                                                                                        \
            co_return bh_try_.error();                                                                       \
    }                                                                                                        \
    static_assert(true)
