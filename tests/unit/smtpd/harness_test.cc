#include "harness.h"

#include "server_sasl.h"
#include "server_tls.h"

#include "base/text.h"
#include "ipc/cleanup.h"
#include "ipc/rewrite.h"
#include "mail/address.h"
#include "sasl/auth_protocol.h"
#include "sasl/base64.h"
#include "sasl/client_login.h"
#include "sasl/server_login.h"
#include "tls/connection.h"
#include "tls/context.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/time.h>

#include <csignal>
#include <map>
#include <span>

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

// A key with a certificate of its own, made once by openssl(1).
const std::string& key_file()
{
    struct File {
        std::string path = "/tmp/smtpd_test_key." + std::to_string(::getpid());
        File()
        {
            const std::string command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                                        "-nodes -days 30 -subj /CN=mx.example.test -keyout " +
                                        path + " -out " + path + ".cert 2>/dev/null && cat " + path +
                                        ".cert >> " + path + " && rm " + path + ".cert";
            ensure(std::system(command.c_str()) == 0, "a key of the test");
        }
        ~File() { ::unlink(path.c_str()); }
    };
    static const File file;
    return file.path;
}

class TestUsers final : public sasl::UserSource
{
public:
    Result<std::optional<sasl::StoredUser>> find(const std::string& user) override
    {
        if (user == "broken")
            return Error(Fault::broken, "the users are broken");
        if (user != "joe")
            return std::optional<sasl::StoredUser>();
        sasl::StoredUser stored{"joe", {}};
        stored.credentials.plain = "secret";
        return std::optional(stored);
    }
    Result<std::vector<std::string>> owners_of(const std::string& token) override
    {
        return token == "good-token" ? std::vector<std::string>{"joe"} : std::vector<std::string>();
    }
};

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

// What the settings of a test must make.
template <typename T> T must(Result<T> made)
{
    ensure(static_cast<bool>(made), made ? "" : made.error().context);
    return *std::move(made);
}

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

// The connection to the service of logins outlives sessions.
void close_logins(sasl::AuthClient& service)
{
    struct Stop {
        static Task<> when_empty(sasl::AuthClient* client)
        {
            client->close();
            co_await client->empty();
            Loop::current().stop();
        }
    };
    Scope waiting;
    waiting.spawn(Stop::when_empty, &service);
    if (waiting.size() > 0)
        Loop::current().run();
}

} // namespace

void open_pair(int* pair, bool network)
{
    if (network)
        connect_pair(pair);
    else
        ensure(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair of the test");
}

FakeServices::FakeServices()
{
    char name[] = "/tmp/smtpd_test.XXXXXX";
    folder_ = ::mkdtemp(name);
    listen("rewrite", serve_rewrite);
    listen("cleanup", serve_cleanup);
    listen("auth", serve_auth);
}

FakeServices::~FakeServices()
{
    for (const char* name : {"rewrite", "cleanup", "auth"})
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

Task<> FakeServices::serve_auth(FakeServices*, UniqueFd fd)
{
    using Kind = sasl::AuthAnswer::Kind;
    Stream stream(std::move(fd));
    stream.write("VERSION\t1\t1\n");
    for (const sasl::Mechanism& one : sasl::all_server_mechanisms()) {
        sasl::AuthAnswer offer;
        offer.kind = Kind::mechanism;
        offer.mechanism = one;
        stream.write(sasl::auth_line(offer));
    }
    stream.write("SPID\t1\nCUID\t1\nCOOKIE\t00112233445566778899aabbccddeeff\nDONE\n");
    TestUsers users;
    std::map<std::uint32_t, std::unique_ptr<sasl::ServerLogin>> logins;
    for (;;) {
        const auto line = co_await stream.read_line(sasl::auth_line_limit);
        if (!line)
            co_return;
        const auto request = sasl::parse_auth_request(line->text);
        ensure(static_cast<bool>(request), "a request of the test");
        if (request->kind == sasl::AuthRequest::Kind::cancel)
            logins.erase(request->id);
        if (request->kind == sasl::AuthRequest::Kind::begin)
            logins[request->id] = sasl::begin_login(request->mechanism, users);
        else if (request->kind != sasl::AuthRequest::Kind::go_on)
            continue;
        const sasl::LoginStep step = logins.at(request->id)->step(request->data);
        sasl::AuthAnswer answer;
        answer.id = request->id;
        answer.user = step.user;
        answer.reason = step.reason;
        answer.data = step.challenge;
        answer.kind = step.kind == sasl::LoginStep::Kind::go_on     ? Kind::go_on
                      : step.kind == sasl::LoginStep::Kind::granted ? Kind::ok
                                                                    : Kind::fail;
        answer.temporary = step.kind == sasl::LoginStep::Kind::broken;
        stream.write(sasl::auth_line(answer));
        stream.send_what_fits();
    }
}

BlockingClient::~BlockingClient() = default;

// The transport never waits; the socket does.
ssize_t BlockingClient::receive(char* room, std::size_t size)
{
    if (!tls_)
        return ::recv(fd_, room, size, 0);
    std::size_t got = 0;
    return tls_->read(std::span(room, size), got) == Transport::Step::done ? static_cast<ssize_t>(got) : -1;
}

bool BlockingClient::start_tls()
{
    struct Params : ParamSet {
        tls::CommonParams common{this};
    };
    static Params params;
    static const auto context = [] {
        params.common.medium_ciphers.set("aNULL:-aNULL:HIGH:MEDIUM:@STRENGTH");
        params.common.curves.set({"X25519", "prime256v1"});
        params.common.config_file.set("default");
        params.common.ticket_cipher.set("aes-256-cbc");
        auto made = tls::ClientContext::open(params.common, tls::ClientOptions());
        ensure(static_cast<bool>(made), "a TLS client of the test");
        return *std::move(made);
    }();
    tls::ClientCall call;
    call.ciphers = params.common.medium_ciphers();
    auto connection = context->connect(fd_, call);
    ensure(static_cast<bool>(connection), "a TLS connection of the test");
    pending_.clear();
    if ((*connection)->handshake() != Transport::Step::done)
        return false;
    tls_ = *std::move(connection);
    return true;
}

std::string BlockingClient::log_in(const std::string& mechanism, const std::string& user,
                                   const std::string& password)
{
    sasl::ClientSecrets secrets;
    secrets.user = user;
    secrets.password = password;
    secrets.host = "mx.example.test";
    secrets.port = 25;
    auto login = sasl::ClientLogin::begin(mechanism, secrets);
    ensure(static_cast<bool>(login), "a mechanism of the test");
    std::string command = "AUTH " + mechanism;
    if (!(*login)->waits_for_challenge()) {
        const std::string first = sasl::encode_base64((*login)->answer("").value_or(""));
        command += " " + (first.empty() ? "=" : first);
    }
    std::string reply = say(command);
    while (reply.starts_with("334 ")) {
        const auto answer = (*login)->answer(sasl::decode_base64(reply.substr(4)).value_or(""));
        reply = say(answer ? sasl::encode_base64(*answer) : "*");
    }
    return reply;
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
        const ssize_t n = receive(block, sizeof block);
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
        if (tls_) {
            std::size_t taken = 0;
            if (tls_->write(bytes, taken) != Transport::Step::done)
                return;
            bytes.remove_prefix(taken);
            continue;
        }
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

Harness::Harness(const std::string& settings)
    : own_settings("smtpd_sasl_type = dovecot\nsmtpd_sasl_path = " + services.path("auth") + "\n" +
                   (settings.find("smtpd_tls_") != settings.npos
                        ? "smtpd_tls_chain_files = " + key_file() + "\n"
                        : std::string()) +
                   settings)
{
    ::signal(SIGPIPE, SIG_IGN); // a library that writes to a client that has gone
    const auto config = make_config(own_settings);
    ensure(static_cast<bool>(config), "the settings of the test");
    const auto loaded = params.load(*config);
    ensure(static_cast<bool>(loaded), loaded ? "" : loaded.error().context);
}

Harness::Setup::Setup(Harness& harness)
    : config(*make_config(harness.own_settings)), rewriter(harness.services.path("rewrite")),
      cleanup(harness.services.path("cleanup")), flush(harness.services.path("flush")),
      policy(must(Policy::open(config, harness.params, rewriter))),
      tables(must(ProtocolTables::open(config, harness.params))),
      tls(ServerTls::open(harness.params.tls, "smtp")),
      sasl(must(ServerSasl::open(config, harness.params.sasl))),
      service{
          harness.params, *policy,           cleanup,    disk, tables,
          flush,          "mx.example.test", "Bulkhead", 0,    offers_in(harness.params.discarded_keywords())}
{
    if (harness.before_queue)
        filter = std::make_unique<PolicyServer>(*harness.before_queue, nullptr);
    service.before_queue = filter.get();
    service.tls = tls.get();
    service.sasl = sasl.get();
}

Harness::Setup::~Setup()
{
    if (sasl->is_enabled())
        close_logins(sasl->service());
}

void Harness::talk(const std::function<void(BlockingClient&)>& client)
{
    {
        Setup setup(*this);
        int pair[2];
        open_pair(pair, network);
        UniqueFd ours(pair[0]);
        UniqueFd theirs(pair[1]);
        ASSERT_TRUE(set_nonblocking(ours.get()));
        // The session begins first: what comes before the greeting would be dropped.
        Scope sessions;
        sessions.spawn(run_session, std::move(ours), &setup.service);
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
