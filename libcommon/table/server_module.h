// Between the tables that ask a server (mysql, pgsql, ldap, sqlite) and the modules that know how to
// speak to one kind of server.  A module is a shared object that is loaded when such a table is opened,
// so that nothing else depends on its library.  Everything here is in the header: a module links
// nothing of ours, and gets what it needs through these interfaces.
//
// The table reads keys, filters, templates and limits, owns hosts, back-off and idle connections;
// a module connects to one host, quotes text for it and brings the values of one question.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// Changes with every change of this header.
inline constexpr unsigned server_module_version = 1;

// The definition of a table, as a module reads it while it is opened.  A bad value is noted with its
// place and refuses the table afterwards; the module goes on with the default.
class ServerSettings
{
public:
    virtual ~ServerSettings() = default;
    virtual bool has(std::string_view name) const = 0;
    virtual std::string text(std::string_view name, std::string_view fallback = {}) = 0;
    virtual int number(std::string_view name, int fallback, int least, int most) = 0;
    virtual int seconds(std::string_view name, int fallback) = 0;
    virtual bool flag(std::string_view name, bool fallback) = 0;
    virtual std::vector<std::string> list(std::string_view name, std::string_view fallback = {}) = 0;
    virtual void complain(std::string_view name, std::string_view reason) = 0;
};

// One element of `hosts` or `server_host`.
struct ServerHost {
    std::string text;                   // as the definition has it
    std::string uri;                    // with a scheme: the whole of it
    std::string socket;                 // unix:/path
    std::string name;                   // host name or address, without brackets
    std::string port;                   // empty: the usual one
    std::vector<std::string> addresses; // what the name stood for when it was asked last; may be empty
};

// The values of one answer, bounded.
class ServerValues
{
public:
    static constexpr std::size_t count_limit = 20000;
    static constexpr std::size_t size_limit = 1 << 20;

    // False when there are too many: the question then has failed.
    bool add(std::string_view value)
    {
        if (values_.size() >= count_limit || value.size() > size_limit - size_)
            return false;
        size_ += value.size();
        values_.emplace_back(value);
        return true;
    }
    const std::vector<std::string>& all() const { return values_; }

private:
    std::vector<std::string> values_;
    std::size_t size_ = 0;
};

enum class ServerAnswer {
    values, // the question is answered, perhaps with none
    lost,   // the connection is of no use any more: another may do
    failed, // the server refuses this question
};

// One connection; used by one thread at a time.
class ServerConnection
{
public:
    virtual ~ServerConnection() = default;

    // Appends text to `out` so that it cannot end the place in question number `part` where it
    // stands.  False: this text cannot be asked for.
    virtual bool quote(std::size_t part, std::string_view text, std::string& out) = 0;

    // Sets `reason` unless it gives values.  Returns at the deadline at the latest, up to one round trip.
    virtual ServerAnswer ask(const std::vector<std::string>& parts,
                             std::chrono::steady_clock::time_point deadline, ServerValues& values,
                             std::string& reason) = 0;
};

// The name of a parameter, and a text with %s in it.
struct ServerQuestion {
    std::string parameter;
    std::string text;
};

// One opened table.  connect() may be called by several threads at once.
class ServerDriver
{
public:
    virtual ~ServerDriver() = default;

    virtual std::vector<ServerQuestion> questions() const = 0;
    virtual std::vector<std::string> hosts() const = 0;

    // True: the hosts are tried as listed, else UNIX sockets first and the others in random order.
    virtual bool keeps_order() const { return false; }

    // True for a file: the only connection is made when the table is opened, before the jail.
    virtual bool is_file() const { return false; }

    virtual std::unique_ptr<ServerConnection>
    connect(const ServerHost& host, std::chrono::steady_clock::time_point deadline, std::string& reason) = 0;
};

// What a module exports, by the name below.
struct ServerModule {
    unsigned version;
    std::unique_ptr<ServerDriver> (*open)(ServerSettings& settings);
};
using ServerModuleEntry = const ServerModule* (*)();
inline constexpr char server_module_symbol[] = "bulkhead_server_module";

// For timeouts that a library wants as seconds or milliseconds: what is left, at least 1.
inline int milliseconds_until(std::chrono::steady_clock::time_point deadline)
{
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    return left.count() < 1 ? 1 : static_cast<int>(left.count());
}
inline int seconds_until(std::chrono::steady_clock::time_point deadline)
{
    return (milliseconds_until(deadline) + 999) / 1000;
}

} // namespace bulkhead

// BH_SERVER_MODULE(open_mysql): in a module's file, once.
#define BH_SERVER_MODULE(open_function)                                                                      \
    extern "C" __attribute__((visibility("default"))) const bulkhead::ServerModule* bulkhead_server_module() \
    {                                                                                                        \
        static const bulkhead::ServerModule module{bulkhead::server_module_version, open_function};          \
        return &module;                                                                                      \
    }
