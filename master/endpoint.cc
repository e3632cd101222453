#include "endpoint.h"

#include "async/connect.h"
#include "base/text.h"
#include "config/service_ports.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int backlog = 4096; // the kernel cuts it to net.core.somaxconn

struct Families {
    bool ipv4 = false;
    bool ipv6 = false;
};

bool kernel_has_ipv6()
{
    static const bool present =
        static_cast<bool>(UniqueFd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    return present;
}

Result<Families> wanted_families(const Config& config)
{
    Families families;
    for (const std::string& word : config.get_list("inet_protocols")) {
        if (word == "all")
            families = {true, kernel_has_ipv6()};
        else if (word == "ipv4")
            families.ipv4 = true;
        else if (word == "ipv6")
            families.ipv6 = true;
        else
            return Error{Fault::config, fmt::format("{}: inet_protocols: unknown protocol \"{}\"",
                                                    config.place("inet_protocols"), printable(word))};
    }
    if (!families.ipv4 && !families.ipv6)
        return Error{Fault::config,
                     config.place("inet_protocols") + ": inet_protocols: no protocol is named"};
    return families;
}

std::string shown(const addrinfo& info)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    ::getnameinfo(info.ai_addr, info.ai_addrlen, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV);
    return info.ai_family == AF_INET6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

// host empty: the wildcard addresses.  The error is the bare reason.
Result<> add_addresses(const std::string& host, const std::string& port, Families families,
                       std::vector<Endpoint>& to)
{
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
    addrinfo* found = nullptr;
    const char* const name = host.empty() ? nullptr : host.c_str();
    int status = ::getaddrinfo(name, port.c_str(), &hints, &found);
    if (status == EAI_NONAME && name != nullptr) {
        hints.ai_flags = AI_PASSIVE;
        status = ::getaddrinfo(name, port.c_str(), &hints, &found);
    }
    if (status != 0)
        return Error{Fault::config, fmt::format("{}:{}: {}", host, port, ::gai_strerror(status))};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);

    bool any = false;
    for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
        if (!(info->ai_family == AF_INET ? families.ipv4 : info->ai_family == AF_INET6 && families.ipv6))
            continue;
        any = true;
        Endpoint endpoint;
        endpoint.key = "inet " + shown(*info);
        std::memcpy(&endpoint.address, info->ai_addr, info->ai_addrlen);
        endpoint.length = info->ai_addrlen;
        if (std::ranges::find(to, endpoint.key, &Endpoint::key) == to.end())
            to.push_back(std::move(endpoint));
    }
    if (!any)
        return Error{Fault::config, fmt::format("{}: no address of the families in inet_protocols", host)};
    return {};
}

std::string without_brackets(std::string_view host)
{
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    if (starts_with_ignoring_case(host, "ipv6:"))
        host.remove_prefix(5);
    return std::string(host);
}

Result<> add_interfaces(const Config& config, const std::string& port, Families families,
                        std::vector<Endpoint>& to)
{
    const std::vector<std::string> interfaces = config.get_list("inet_interfaces");
    if (interfaces.empty())
        return Error{Fault::config, "inet_interfaces is empty"};
    for (const std::string& word : interfaces) {
        if (word == "all") {
            TRY_VOID(add_addresses("", port, families, to));
        } else if (word == "loopback-only") {
            if (families.ipv4)
                TRY_VOID(add_addresses("127.0.0.1", port, families, to));
            if (families.ipv6)
                TRY_VOID(add_addresses("::1", port, families, to));
        } else {
            TRY_VOID(add_addresses(without_brackets(word), port, families, to));
        }
    }
    return {};
}

Result<std::vector<Endpoint>> plan_inet(const ServiceEntry& service, const Config& config)
{
    const auto where = [&](const Error& error) {
        return Error{Fault::config,
                     fmt::format("{}: service {}: {}", service.place(), service.name, error.context)};
    };
    const auto name = InetEndpoint::parse(service.name);
    if (!name)
        return where(name.error());
    TRY(const Families families, wanted_families(config));
    TRY(const std::int64_t window, config.get_int("tcp_windowsize"));
    ServicePorts known;
    (void)known.add_known(config.get("known_tcp_ports")); // plan_environment() has warned of its faults
    const auto number = known.find(name->port);
    const std::string port = number ? std::to_string(*number) : name->port;
    std::vector<Endpoint> endpoints;
    const auto added = name->host.empty() ? add_interfaces(config, port, families, endpoints)
                                          : add_addresses(name->host, port, families, endpoints);
    if (!added)
        return where(added.error());
    for (Endpoint& endpoint : endpoints)
        endpoint.window = static_cast<int>(window);
    return endpoints;
}

// The effective user and group of the owner while it lives.
class ActingAs
{
public:
    ActingAs(uid_t user, gid_t group) : root_(::geteuid() == 0)
    {
        if (root_)
            ensure(::setegid(group) == 0 && ::seteuid(user) == 0, "cannot act as the mail owner");
    }
    ~ActingAs()
    {
        if (root_)
            ensure(::seteuid(0) == 0 && ::setegid(0) == 0, "cannot act as root again");
    }
    ActingAs(const ActingAs&) = delete;

private:
    bool root_;
};

Result<UniqueFd> open_inet(const Endpoint& endpoint)
{
    UniqueFd fd(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error("socket for " + endpoint.key);
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Inherited by what is accepted: a reply never waits for the ACK of the one before.
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (endpoint.address.ss_family == AF_INET6)
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    ask_for_window(fd.get(), endpoint.window);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length) != 0)
        return system_error("bind " + endpoint.key);
    if (::listen(fd.get(), backlog) != 0)
        return system_error("listen on " + endpoint.key);
    return fd;
}

// The mail owner's folder as working directory while it lives: names in it are short, and the folders
// above it may be closed to the mail owner.
class InFolder
{
public:
    explicit InFolder(const std::string& path) : entered_(::chdir(path.c_str()) == 0) {}
    ~InFolder() { ensure(::chdir("/") == 0, "cannot go back to /"); }
    InFolder(const InFolder&) = delete;

    bool entered() const { return entered_; }

private:
    bool entered_;
};

// Its parent is root's: what is there cannot be exchanged meanwhile.
Result<> make_folder_of(const Endpoint& endpoint, const FolderOwner& owner)
{
    const std::string path = endpoint.path.substr(0, endpoint.path.rfind('/'));
    const bool made = ::mkdir(path.c_str(), 0700) == 0;
    struct stat st{};
    if ((!made && errno != EEXIST) || ::lstat(path.c_str(), &st) != 0)
        return system_error("create " + path);
    if (!S_ISDIR(st.st_mode))
        return Error{Fault::io, path + " is not a directory"};
    if (st.st_uid != owner.user && ::chown(path.c_str(), owner.user, owner.group) != 0)
        return system_error("change the owner of " + path);
    return {};
}

Result<UniqueFd> open_unix(const Endpoint& endpoint, uid_t owner, gid_t group)
{
    const auto slash = endpoint.path.rfind('/');
    const std::string name = endpoint.path.substr(slash + 1);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() >= sizeof address.sun_path)
        return Error{Fault::limit, fmt::format("socket name is too long: {}", endpoint.path)};
    std::memcpy(address.sun_path, name.data(), name.size());
    UniqueFd fd(
        ::socket(AF_UNIX, (endpoint.datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return system_error("socket for " + endpoint.key);
    const InFolder folder(endpoint.path.substr(0, slash));
    if (!folder.entered())
        return system_error("enter the folder of " + endpoint.path);
    const ActingAs as(owner, group);
    // The mode of the name comes from the socket's own, cut by the umask: there is never a
    // moment with another mode.
    ::fchmod(fd.get(), 0666);
    const mode_t mask = ::umask(0);
    ::unlink(name.c_str());
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int number = errno;
    ::umask(mask);
    if (bound != 0)
        return system_error("bind " + endpoint.key, number);
    if (!endpoint.datagram && ::listen(fd.get(), backlog) != 0)
        return system_error("listen on " + endpoint.key);
    return fd;
}

} // namespace

Result<std::vector<Endpoint>> plan_endpoints(const ServiceEntry& service, const Config& config)
{
    if (service.type == ServiceType::inet)
        return plan_inet(service, config);
    if (service.name.find('/') != std::string::npos || service.name.starts_with('.'))
        return Error{Fault::config,
                     fmt::format("{}: service {}: not a name for a socket", service.place(), service.name)};
    Endpoint endpoint;
    endpoint.path = fmt::format("{}/{}/{}", config.queue_directory(),
                                service.is_private ? "private" : "public", service.name);
    endpoint.key = "unix " + endpoint.path;
    endpoint.datagram = service.type == ServiceType::unix_dgram;
    endpoint.is_inner = service.is_private;
    return std::vector<Endpoint>{std::move(endpoint)};
}

Result<Listener> Listener::open(const Endpoint& endpoint, uid_t owner, gid_t group)
{
    if (const auto& other = endpoint.folder_owner) {
        TRY_VOID(make_folder_of(endpoint, *other));
        owner = other->user;
        group = other->group;
    }
    TRY(UniqueFd fd, endpoint.path.empty() ? open_inet(endpoint) : open_unix(endpoint, owner, group));
    Listener listener(std::move(fd), endpoint.path);
    struct stat st{};
    if (!endpoint.path.empty() && ::lstat(endpoint.path.c_str(), &st) == 0) {
        listener.device_ = st.st_dev;
        listener.inode_ = st.st_ino;
    }
    return listener;
}

Listener::~Listener()
{
    // Workers that still serve have copies: clients must be refused, not kept waiting.
    if (fd_ && path_.empty())
        ::shutdown(fd_.get(), SHUT_RDWR);
    if (fd_ && !path_.empty() && is_reachable())
        ::unlink(path_.c_str());
}

bool Listener::is_reachable() const
{
    struct stat st{};
    return path_.empty() || (::lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ &&
                             st.st_ino == inode_ && S_ISSOCK(st.st_mode));
}

EndpointChange compare_endpoints(const std::set<std::string>& before, const std::set<std::string>& after)
{
    EndpointChange change;
    std::ranges::set_difference(after, before, std::inserter(change.opened, change.opened.end()));
    std::ranges::set_difference(before, after, std::inserter(change.closed, change.closed.end()));
    return change;
}

} // namespace bulkhead
