// memcache: tables: a memcached server in front of another table (`backup`), or alone.  Speaks the text
// protocol itself, so it needs no library and is no module.  A server that fails is like one that
// has forgotten everything as long as there is a backup.
#include "base/text.h"
#include "base/unique_fd.h"
#include "os/jail.h"
#include "table/client_config.h"
#include "table/domain_list.h"
#include "table/query_template.h"
#include "table/server_pool.h"
#include "table/types.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

namespace bulkhead
{

namespace
{

using Clock = std::chrono::steady_clock;

constexpr std::size_t protocol_key_limit = 250;
constexpr std::size_t idle_limit = 8;

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

struct MemcacheSettings {
    std::string server;
    std::vector<Address> addresses;
    unsigned flags = 0;
    int ttl = 3600;
    std::size_t line_limit = 1024;
    std::size_t data_limit = 10240;
    int tries = 2;
    std::chrono::seconds pause{1};
    std::chrono::seconds timeout{2};
};

// One connection; each call ends at the deadline.
class MemcacheClient
{
public:
    MemcacheClient(UniqueFd fd, const MemcacheSettings& settings) : fd_(std::move(fd)), settings_(settings) {}

    static Result<MemcacheClient> connect(const MemcacheSettings& settings)
    {
        Error last(Fault::io, "no address");
        for (const Address& address : settings.addresses) {
            UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            MemcacheClient client(std::move(fd), settings);
            const auto connected = client.finish_connect(address);
            if (connected)
                return client;
            last = connected.error();
        }
        return last;
    }

    Result<Lookup> get(std::string_view key)
    {
        begin();
        TRY_VOID(send(fmt::format("get {}\r\n", key)));
        TRY(const std::string header, line());
        if (header == "END")
            return Lookup::absent();
        // VALUE key flags size
        const auto words = split(header, " ");
        const auto size = words.size() >= 4 ? parse_unsigned(words[3]) : std::nullopt;
        if (words.empty() || words[0] != "VALUE" || words.size() > 5 || words[1] != key || !size)
            return Error{Fault::malformed, fmt::format("unexpected answer \"{}\"", printable(header))};
        if (*size > settings_.data_limit)
            return Error{Fault::limit, fmt::format("{} bytes are more than data_size_limit", *size)};
        TRY(std::string value, bytes(static_cast<std::size_t>(*size)));
        TRY(const std::string rest, line());
        TRY(const std::string end, line());
        if (!rest.empty() || end != "END")
            return Error{Fault::malformed, "the answer does not end where it should"};
        return Lookup::found(std::move(value));
    }

    Result<> set(std::string_view key, std::string_view value)
    {
        begin();
        TRY_VOID(send(fmt::format("set {} {} {} {}\r\n{}\r\n", key, settings_.flags, settings_.ttl,
                                  value.size(), value)));
        TRY(const std::string answer, line());
        if (answer != "STORED")
            return Error{Fault::refused, fmt::format("set: {}", printable(answer))};
        return {};
    }

private:
    void begin() { deadline_ = Clock::now() + settings_.timeout; }

    Result<> finish_connect(const Address& address)
    {
        begin();
        if (!fd_)
            return system_error("socket");
        if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0)
            return {};
        if (errno != EINPROGRESS)
            return system_error("connect");
        TRY_VOID(wait(POLLOUT));
        int status = 0;
        socklen_t size = sizeof status;
        ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &status, &size);
        if (status != 0)
            return system_error("connect", status);
        return {};
    }

    Result<> wait(short events)
    {
        for (;;) {
            pollfd ready{fd_.get(), events, 0};
            const int count = ::poll(&ready, 1, milliseconds_until(deadline_));
            if (count > 0)
                return {};
            if (count == 0 || Clock::now() >= deadline_)
                return Error{Fault::timeout, "no answer in time"};
            if (errno != EINTR)
                return system_error("poll");
        }
    }

    Result<> send(std::string_view text)
    {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (sent >= 0)
                text.remove_prefix(static_cast<std::size_t>(sent));
            else if (errno != EAGAIN)
                return system_error("send");
            else
                TRY_VOID(wait(POLLOUT));
        }
        return {};
    }

    Result<> receive()
    {
        TRY_VOID(wait(POLLIN));
        char block[4096];
        const ssize_t size = ::recv(fd_.get(), block, sizeof block, 0);
        if (size < 0)
            return system_error("receive");
        if (size == 0)
            return Error{Fault::closed, "the server has closed the connection"};
        pending_.append(block, static_cast<std::size_t>(size));
        return {};
    }

    Result<std::string> line()
    {
        for (;;) {
            const auto end = pending_.find('\n');
            if (end > settings_.line_limit &&
                (end != pending_.npos || pending_.size() > settings_.line_limit))
                return Error{Fault::limit, "a line is longer than line_size_limit"};
            if (end != pending_.npos) {
                std::string line = pending_.substr(0, end);
                pending_.erase(0, end + 1);
                if (line.ends_with('\r'))
                    line.pop_back();
                return line;
            }
            TRY_VOID(receive());
        }
    }

    Result<std::string> bytes(std::size_t size)
    {
        while (pending_.size() < size)
            TRY_VOID(receive());
        std::string data = pending_.substr(0, size);
        pending_.erase(0, size);
        return data;
    }

    UniqueFd fd_;
    const MemcacheSettings& settings_; // the table's, which lives longer
    std::string pending_;
    Clock::time_point deadline_;
};

struct MemcacheParts {
    MemcacheSettings settings;
    QueryTemplate key_format;
    MatchList domains;
    bool has_domains = false;
    bool fold = true;
    std::unique_ptr<Table> backup;
};

class MemcacheTable final : public Table
{
public:
    explicit MemcacheTable(MemcacheParts parts) : parts_(std::move(parts)) {}

    bool may_block() const override { return true; }
    bool is_stale() const override { return parts_.backup && parts_.backup->is_stale(); }

    Lookup find(std::string_view key) override
    {
        const std::string name = parts_.fold ? lower(key) : std::string(key);
        const AddressParts address(name);
        if (parts_.has_domains) {
            if (address.local.empty() || !address.domain)
                return Lookup::absent();
            const ListMatch match = parts_.domains.match(*address.domain);
            if (match.is_broken())
                return Lookup::broken(fmt::format("table {}: domain: {}", spec(), match.reason));
            if (!match)
                return Lookup::absent();
        }
        const auto as_it_is = [](std::string_view text, std::string& out) {
            out += text;
            return true;
        };
        const auto cache_key = parts_.key_format.fill(address, as_it_is);
        if (!cache_key)
            return Lookup::absent();
        const bool can_be_cached = is_protocol_key(*cache_key);
        Lookup cached = can_be_cached ? get(*cache_key) : Lookup::absent();
        if (cached.is_found() || !parts_.backup)
            return cached;
        Lookup answer = parts_.backup->find(name);
        if (answer.is_found() && can_be_cached && !cached.is_broken())
            put(*cache_key, answer.value());
        return answer;
    }

private:
    // Others are not looked for in the cache.
    static bool is_protocol_key(std::string_view key)
    {
        return !key.empty() && key.size() <= protocol_key_limit && std::ranges::all_of(key, [](char c) {
            return static_cast<unsigned char>(c) > ' ' && c != 0x7f;
        });
    }

    Lookup get(const std::string& key)
    {
        std::string reason;
        for (int attempt = 0; attempt < parts_.settings.tries; ++attempt) {
            if (attempt > 0)
                std::this_thread::sleep_for(parts_.settings.pause);
            auto client = take();
            if (!client) {
                reason = client.error().context; // no connection: no second try
                break;
            }
            auto answer = client->get(key);
            if (answer) {
                give_back(*std::move(client));
                return *std::move(answer);
            }
            reason = answer.error().context;
            forget();
        }
        return Lookup::broken(
            fmt::format("table {}: host {}: {}", spec(), parts_.settings.server, printable(reason)));
    }

    // A value that is not stored is asked for again: no reason to complain.
    void put(const std::string& key, std::string_view value)
    {
        if (value.size() > parts_.settings.data_limit)
            return;
        auto client = take();
        if (client && client->set(key, value))
            give_back(*std::move(client));
    }

    Result<MemcacheClient> take()
    {
        {
            const std::lock_guard lock(mutex_);
            if (!idle_.empty()) {
                MemcacheClient client = std::move(idle_.back());
                idle_.pop_back();
                return client;
            }
        }
        return MemcacheClient::connect(parts_.settings);
    }

    void give_back(MemcacheClient client)
    {
        const std::lock_guard lock(mutex_);
        if (idle_.size() < idle_limit)
            idle_.push_back(std::move(client));
    }

    // One connection that failed says that the others, from before, are not worth a try.
    void forget()
    {
        const std::lock_guard lock(mutex_);
        idle_.clear();
    }

    MemcacheParts parts_;
    std::mutex mutex_;
    std::vector<MemcacheClient> idle_;
};

Result<std::vector<Address>> addresses_of(const ServerHost& host)
{
    std::vector<Address> addresses;
    if (!host.socket.empty()) {
        Address address;
        auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
        if (host.socket.size() >= sizeof local.sun_path)
            return Error{Fault::config, "the path is too long"};
        local.sun_family = AF_UNIX;
        std::memcpy(local.sun_path, host.socket.data(), host.socket.size());
        address.size = sizeof local;
        addresses.push_back(address);
        return addresses;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int status =
        ::getaddrinfo(host.name.c_str(), host.port.empty() ? "11211" : host.port.c_str(), &hints, &list);
    if (status != 0)
        return Error{Fault::config, ::gai_strerror(status)};
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
        Address address;
        std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
        address.size = entry->ai_addrlen;
        addresses.push_back(address);
    }
    ::freeaddrinfo(list);
    return addresses;
}

MemcacheSettings read_settings(ClientConfig& config)
{
    constexpr int most = 1 << 24;
    MemcacheSettings settings;
    settings.server = config.text("memcache", "inet:localhost:11211");
    auto addresses = addresses_of(parse_server_host(settings.server));
    if (addresses)
        settings.addresses = *std::move(addresses);
    else
        config.complain("memcache", addresses.error().context);
    settings.flags = static_cast<unsigned>(config.number("flags", 0, 0, 65535));
    settings.ttl = config.number("ttl", 3600, 0, 2147483647);
    settings.line_limit = static_cast<std::size_t>(config.number("line_size_limit", 1024, 64, most));
    settings.data_limit = static_cast<std::size_t>(config.number("data_size_limit", 10240, 1, most));
    settings.tries = config.number("max_try", 2, 1, 10);
    settings.pause = std::chrono::seconds(config.seconds("retry_pause", 1));
    settings.timeout = std::chrono::seconds(config.seconds("timeout", 2));
    return settings;
}

} // namespace

Result<std::unique_ptr<Table>> open_memcache(std::string_view name, const TableOptions& options)
{
    TRY(ClientConfig config, ClientConfig::read(name));
    MemcacheParts parts;
    parts.settings = read_settings(config);
    parts.fold = options.fold_fixed_keys;
    auto key_format = QueryTemplate::parse(config.text("key_format", "%s"));
    if (!key_format)
        config.complain("key_format", key_format.error().context);
    else
        parts.key_format = *std::move(key_format);
    if (const std::string domains = config.text("domain"); !trim(domains).empty()) {
        auto list = MatchList::open(domains, {.kind = ListKind::strings, .parameter = "domain"});
        if (!list)
            config.complain("domain", list.error().context);
        else
            parts.domains = *std::move(list);
        parts.has_domains = true;
    }
    TRY_VOID(config.verdict());
    if (const std::string backup = config.text("backup"); !backup.empty()) {
        TRY(parts.backup, open_table(backup, options));
    }
    if (!parts.settings.server.starts_with("unix:"))
        allow_network_in_jail();
    return std::unique_ptr<Table>(std::make_unique<MemcacheTable>(std::move(parts)));
}

} // namespace bulkhead
