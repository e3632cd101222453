#include "harness.h"

#include "base/text.h"
#include "ipc/cleanup.h"
#include "ipc/rewrite.h"
#include "mail/address.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/time.h>

namespace bulkhead::smtpd_test
{

namespace
{

ipc::AddressClass class_of(std::string_view domain)
{
    using Class = ipc::AddressClass;
    if (domain == "local.test")
        return Class::local;
    if (domain == "alias.test")
        return Class::virtual_alias;
    if (domain == "virtual.test")
        return Class::virtual_mailbox;
    return domain == "relay.test" ? Class::relay : Class::other;
}

ipc::Message answer_to(const ipc::Message& request)
{
    if (request.kind() == ipc::Kind::rewrite) {
        const auto asked = ipc::decode_rewrite(request);
        const std::string address = asked->address;
        return ipc::encode_rewritten(split_address(address).has_domain ? address : address + "@local.test");
    }
    const auto asked = ipc::decode_resolve(request);
    const std::string domain(split_address(asked->address).domain);
    if (domain == "broken.test")
        return ipc::failure("the resolver is broken");
    if (domain == "gone.test")
        return ipc::encode(ipc::Resolved{"error", "5.1.6 User has moved to x@new.test", asked->address,
                                         ipc::AddressClass::relay});
    if (domain == "closed.test")
        return ipc::encode(
            ipc::Resolved{"error", "4.2.1 closed today", asked->address, ipc::AddressClass::relay});
    return ipc::encode(ipc::Resolved{"smtp", domain, asked->address, class_of(domain)});
}

Result<Config> make_config(const std::string& settings)
{
    const std::string text = "compatibility_level = 3.6\n"
                             "myhostname = mx.example.test\n"
                             "mail_name = Bulkhead\n"
                             "mynetworks = 127.0.0.0/8\n"
                             "inet_interfaces = 127.0.0.1\n"
                             "smtpd_error_sleep_time = 0\n"
                             "virtual_alias_maps = inline:{alias@alias.test=user@local.test}\n"
                             "local_recipient_maps = inline:{user=x, postmaster=x}\n" +
                             settings;
    auto main = MainCf::parse(text, "main.cf");
    if (!main)
        return main.error();
    return Config::from(*std::move(main), "/etc/x");
}

// Two ends of a connection over the loopback interface.
void connect_pair(int* pair)
{
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    const bool listens = ::bind(listener.get(), any, size) == 0 && ::listen(listener.get(), 1) == 0 &&
                         ::getsockname(listener.get(), any, &size) == 0;
    pair[1] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ensure(listens && ::connect(pair[1], any, size) == 0, "a connection of the test");
    pair[0] = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
}

Task<> run_session(UniqueFd fd, SmtpdService* service)
{
    Stream stream(std::move(fd));
    SmtpSession session(stream, *service);
    co_await session.run();
    stream.close();
    Loop::current().stop();
}

} // namespace

FakeServices::FakeServices()
{
    char name[] = "/tmp/smtpd_test.XXXXXX";
    folder_ = ::mkdtemp(name);
    listen("rewrite", serve_rewrite);
    listen("cleanup", serve_cleanup);
}

FakeServices::~FakeServices()
{
    for (const char* name : {"rewrite", "cleanup"})
        ::unlink(path(name).c_str());
    ::rmdir(folder_.c_str());
}

void FakeServices::listen(const char* name, Task<> (*serve)(FakeServices* self, UniqueFd fd))
{
    auto socket = listen_unix(path(name), 10);
    ensure(static_cast<bool>(socket), "a socket of the test");
    const int fd = socket->get();
    sockets_.push_back(*std::move(socket));
    watches_.push_back(std::make_unique<ReadWatch>(fd, [this, fd, serve] {
        UniqueFd client(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (client)
            scope_.spawn(serve, this, std::move(client));
    }));
    watches_.back()->enable();
}

void FakeServices::finish()
{
    struct Stop {
        static Task<> when_empty(Scope* scope)
        {
            co_await scope->empty();
            Loop::current().stop();
        }
    };
    Scope waiting;
    waiting.spawn(Stop::when_empty, &scope_);
    if (waiting.size() > 0)
        Loop::current().run();
}

Task<> FakeServices::serve_rewrite(FakeServices*, UniqueFd fd)
{
    Stream stream(std::move(fd));
    for (;;) {
        const auto request = co_await ipc::receive(stream);
        if (!request)
            co_return;
        const ipc::Message answer = answer_to(*request);
        const auto sent = co_await ipc::send(stream, answer);
        if (!sent)
            co_return;
    }
}

Task<> FakeServices::serve_cleanup(FakeServices* self, UniqueFd fd)
{
    Stream stream(std::move(fd));
    std::string records;
    for (;;) {
        const auto request = co_await ipc::receive(stream);
        if (!request)
            co_return;
        if (request->kind() == ipc::Kind::cleanup_records) {
            records += request->body();
            continue;
        }
        const bool opens = request->kind() == ipc::Kind::cleanup_open;
        if (opens) {
            self->flags = *ipc::decode_cleanup_open(*request);
            ++self->opened;
            records.clear();
        } else if (self->drops) {
            co_return;
        } else {
            self->messages.push_back(records);
        }
        const ipc::Message answer = opens ? ipc::encode_cleanup_opened("ID" + std::to_string(self->opened))
                                          : ipc::encode(self->result);
        const auto sent = co_await ipc::send(stream, answer);
        if (!sent)
            co_return;
    }
}

BlockingClient::BlockingClient(int fd) : fd_(fd)
{
    const timeval limit{5, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

std::optional<std::string> BlockingClient::read_line()
{
    for (;;) {
        if (const auto end = pending_.find("\r\n"); end != std::string::npos) {
            std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 2);
            return line;
        }
        char block[4096];
        const ssize_t n = ::recv(fd_, block, sizeof block, 0);
        if (n <= 0)
            return std::nullopt;
        pending_.append(block, static_cast<std::size_t>(n));
    }
}

std::string BlockingClient::read_reply()
{
    std::string reply;
    for (;;) {
        const auto line = read_line();
        if (!line)
            return reply + "(closed)";
        reply += *line;
        if (line->size() < 4 || (*line)[3] != '-')
            return reply;
        reply += '\n';
    }
}

void BlockingClient::send(std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

Harness::Harness(const std::string& settings) : own_settings(settings)
{
    const auto config = make_config(settings);
    ensure(static_cast<bool>(config), "the settings of the test");
    const auto loaded = params.load(*config);
    ensure(static_cast<bool>(loaded), loaded ? "" : loaded.error().context);
}

void Harness::talk(const std::function<void(BlockingClient&)>& client)
{
    const auto config = make_config(own_settings);
    {
        ipc::RewriteClient rewriter(services.path("rewrite"));
        ipc::Service cleanup(services.path("cleanup"));
        auto policy = Policy::open(*config, params, rewriter);
        ASSERT_TRUE(policy) << policy.error().context;
        DiskSpace disk(".", 0, 0);
        ipc::Service flush(services.path("flush"));
        const auto tables = ProtocolTables::open(*config, params);
        ASSERT_TRUE(tables) << tables.error().context;
        SmtpdService service{
            params, **policy,          cleanup,    disk, *tables,
            flush,  "mx.example.test", "Bulkhead", 0,    offers_in(params.discarded_keywords())};
        std::unique_ptr<PolicyServer> filter;
        if (before_queue)
            filter = std::make_unique<PolicyServer>(*before_queue, nullptr);
        service.before_queue = filter.get();
        int pair[2];
        if (network)
            connect_pair(pair);
        else
            ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        UniqueFd ours(pair[0]);
        UniqueFd theirs(pair[1]);
        ASSERT_TRUE(set_nonblocking(ours.get()));
        // The session begins first: what comes before the greeting would be dropped.
        Scope sessions;
        sessions.spawn(run_session, std::move(ours), &service);
        std::thread thread([&] {
            BlockingClient side(theirs.get());
            client(side);
            ::shutdown(theirs.get(), SHUT_RDWR);
        });
        if (sessions.size() > 0)
            Loop::current().run();
        thread.join();
    }
    services.finish();
}

std::string Harness::refusal(const std::string& settings)
{
    const auto config = make_config(settings);
    if (!config)
        return config.error().context;
    SmtpdParams params;
    const auto loaded = params.load(*config);
    if (!loaded)
        return loaded.error().context;
    ipc::RewriteClient rewriter("rewrite");
    const auto policy = Policy::open(*config, params, rewriter);
    return policy ? std::string() : policy.error().context;
}

} // namespace bulkhead::smtpd_test
