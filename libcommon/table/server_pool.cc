#include "table/server_pool.h"

#include "base/text.h"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t idle_limit = 8;
constexpr std::size_t warning_limit = 20;
constexpr std::size_t address_limit = 8;

// host, host:port, [v6], [v6]:port; a bare v6 address has more than one colon.
void split_host_and_port(std::string_view text, ServerHost& host)
{
    if (text.starts_with('[')) {
        const auto bracket = text.find(']');
        host.name = text.substr(1, bracket == text.npos ? text.npos : bracket - 1);
        text = bracket == text.npos ? std::string_view() : text.substr(bracket + 1);
        if (text.starts_with(':'))
            host.port = text.substr(1);
        return;
    }
    const auto colon = text.find(':');
    const bool has_port = colon != text.npos && text.find(':', colon + 1) == text.npos;
    host.name = text.substr(0, has_port ? colon : text.npos);
    if (has_port)
        host.port = text.substr(colon + 1);
}

// What the name stands for now, as text.  Empty when nobody knows.
std::vector<std::string> addresses_of(const std::string& name)
{
    std::vector<std::string> addresses;
    if (name.empty())
        return addresses;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0)
        return addresses;
    for (const addrinfo* entry = list; entry && addresses.size() < address_limit; entry = entry->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
            0)
            addresses.emplace_back(text);
    }
    ::freeaddrinfo(list);
    return addresses;
}

} // namespace

ServerHost parse_server_host(std::string_view text)
{
    ServerHost host;
    host.text = text;
    if (const auto scheme = text.find("://"); scheme != text.npos) {
        host.uri = text;
        std::string_view authority = text.substr(scheme + 3);
        authority = authority.substr(0, authority.find_first_of("/?"));
        if (const auto at = authority.rfind('@'); at != authority.npos)
            authority.remove_prefix(at + 1);
        // Several hosts in one URI are the library's business, and so is ldapi's path.
        if (authority.find_first_of(",%") == authority.npos)
            split_host_and_port(authority, host);
        return host;
    }
    if (text.starts_with("unix:")) {
        host.socket = text.substr(5);
        return host;
    }
    if (text.starts_with("inet:"))
        text.remove_prefix(5);
    split_host_and_port(text, host);
    return host;
}

struct ServerPool::Question {
    const Compose& compose;
    ServerValues& values;
    std::string& reason;
    Clock::time_point deadline;
};

ServerPool::ServerPool(std::unique_ptr<ServerDriver> driver, std::vector<ServerHost> hosts, PoolTimes times)
    : driver_(std::move(driver)), times_(times), hosts_(std::move(hosts)), failed_until_(hosts_.size()),
      failures_(hosts_.size())
{
    for (ServerHost& host : hosts_)
        host.addresses = addresses_of(host.name);
}

bool ServerPool::ask(const Compose& compose, ServerValues& values, std::string& reason)
{
    Question question{compose, values, reason, Clock::now() + times_.whole_lookup};
    if (driver_->is_file())
        return ask_file(question);

    // A kept connection may have died meanwhile: that says nothing about its server.
    while (auto idle = take_idle()) {
        const ServerAnswer answer = put(question, *idle);
        if (answer != ServerAnswer::lost) {
            give_back(*std::move(idle));
            return answer == ServerAnswer::values;
        }
        forget_connections_to(idle->host);
        if (Clock::now() >= question.deadline)
            return false;
    }
    for (const std::size_t host : order(reason)) {
        Idle fresh;
        fresh.host = host;
        fresh.connection = connect(host, question.deadline, reason);
        const ServerAnswer answer = fresh.connection ? put(question, fresh) : ServerAnswer::lost;
        if (answer != ServerAnswer::lost) {
            give_back(std::move(fresh));
            return answer == ServerAnswer::values;
        }
        mark_failed(host, reason);
        if (Clock::now() >= question.deadline)
            return false;
    }
    return false;
}

// Files have one connection for ever, which must not be asked twice at once.
bool ServerPool::ask_file(Question& question)
{
    const std::lock_guard lock(mutex_);
    return put(question, idle_.front()) == ServerAnswer::values;
}

bool ServerPool::open_now(std::string& reason)
{
    Idle idle;
    idle.connection = connect(0, Clock::now() + times_.connect, reason);
    if (!idle.connection)
        return false;
    idle_.push_front(std::move(idle));
    return true;
}

ServerAnswer ServerPool::put(Question& question, Idle& idle)
{
    const auto parts = question.compose(*idle.connection);
    if (!parts)
        return ServerAnswer::values;
    ServerValues values;
    std::string reason;
    const ServerAnswer answer = idle.connection->ask(*parts, question.deadline, values, reason);
    if (answer == ServerAnswer::values)
        question.values = std::move(values);
    else
        question.reason =
            fmt::format("host {}: {}", printable(hosts_[idle.host].text), printable(reason, true));
    return answer;
}

std::optional<ServerPool::Idle> ServerPool::take_idle()
{
    std::list<Idle> closing; // their ends may take a while: after the lock
    const std::lock_guard lock(mutex_);
    const auto oldest = Clock::now() - times_.idle;
    const auto too_old = std::ranges::find_if(idle_, [&](const Idle& idle) { return idle.since < oldest; });
    closing.splice(closing.end(), idle_, too_old, idle_.end());
    if (idle_.empty())
        return std::nullopt;
    Idle idle = std::move(idle_.front());
    idle_.pop_front();
    return idle;
}

void ServerPool::give_back(Idle idle)
{
    idle.since = Clock::now();
    const std::lock_guard lock(mutex_);
    failed_until_[idle.host] = {};
    if (idle_.size() < idle_limit)
        idle_.push_front(std::move(idle));
}

void ServerPool::forget_connections_to(std::size_t host)
{
    std::list<Idle> closing;
    const std::lock_guard lock(mutex_);
    for (auto it = idle_.begin(); it != idle_.end();) {
        const auto next = std::next(it);
        if (it->host == host)
            closing.splice(closing.end(), idle_, it);
        it = next;
    }
}

// The hosts that may be tried now.  When there is none, `reason` says what the last one had.
std::vector<std::size_t> ServerPool::order(std::string& reason)
{
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    std::vector<std::size_t> order;
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
        if (failed_until_[host] <= now)
            order.push_back(host);
        else if (order.empty())
            reason = failures_[host];
    }
    if (!driver_->keeps_order()) {
        std::ranges::shuffle(order, random_);
        std::ranges::partition(order, [&](std::size_t host) { return !hosts_[host].socket.empty(); });
    }
    return order;
}

std::unique_ptr<ServerConnection> ServerPool::connect(std::size_t index, Clock::time_point deadline,
                                                      std::string& reason)
{
    ServerHost host;
    {
        const std::lock_guard lock(mutex_);
        host = hosts_[index];
    }
    const auto attempt = [&](std::string& why) {
        return driver_->connect(host, std::min(deadline, Clock::now() + times_.connect), why);
    };
    std::string why;
    auto connection = attempt(why);
    if (!connection && !host.name.empty() && Clock::now() < deadline) {
        // The host may have moved since the table was opened; in a jail nobody may know.
        std::vector<std::string> addresses = addresses_of(host.name);
        if (!addresses.empty() && addresses != host.addresses) {
            host.addresses = std::move(addresses);
            connection = attempt(why);
            const std::lock_guard lock(mutex_);
            hosts_[index].addresses = host.addresses;
        }
    }
    if (!connection)
        reason = fmt::format("host {}: {}", printable(host.text), printable(why, true));
    return connection;
}

void ServerPool::mark_failed(std::size_t host, const std::string& reason)
{
    const std::lock_guard lock(mutex_);
    failed_until_[host] = Clock::now() + (hosts_.size() == 1 ? times_.only_host_retry : times_.retry);
    failures_[host] = reason;
    if (warnings_.size() < warning_limit && hosts_.size() > 1)
        warnings_.push_back(reason);
}

std::vector<std::string> ServerPool::take_warnings()
{
    const std::lock_guard lock(mutex_);
    return std::exchange(warnings_, {});
}

} // namespace bulkhead
