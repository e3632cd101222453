// Whole conversations between a server and a client context over a socket pair.
#include "async/scope.h"
#include "async/stream.h"
#include "async/wait.h"
#include "tls/context.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace bulkhead::tls
{
namespace
{

struct TestParams : ParamSet {
    CommonParams common{this};
};

void fill(TestParams& params)
{
    params.common.high_ciphers.set("aNULL:-aNULL:HIGH:@STRENGTH");
    params.common.medium_ciphers.set("aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH");
    params.common.curves.set({"X25519", "X448", "prime256v1", "nonsense"});
    params.common.config_file.set("default");
    params.common.dane_digests.set({"sha512", "sha256"});
    params.common.ticket_cipher.set("aes-256-cbc");
}

std::string slurp(const std::string& path)
{
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

// Keys and certificates of one test program, made by openssl(1): an authority, a server
// (ECDSA, RSA), a client.
class World
{
public:
    static const World& get()
    {
        static const World world;
        return world;
    }
    std::string pem(const std::string& name) const { return slurp(folder_ + "/" + name + ".pem"); }
    KeyChain chain(const std::string& name) const
    {
        KeyChain chain;
        chain.label = name;
        chain.keys = pem(name + ".key");
        chain.chains = pem(name);
        return chain;
    }
    const std::string& folder() const { return folder_; }

private:
    World()
    {
        ::signal(SIGPIPE, SIG_IGN);
        char name[] = "/tmp/tls_test.XXXXXX";
        folder_ = ::mkdtemp(name);
        run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj '/CN=Test CA' "
            "-keyout ca.key.pem -out ca.pem");
        issue("ec", "ec -pkeyopt ec_paramgen_curve:prime256v1", "mx.example.test");
        issue("rsa", "rsa:2048", "mx.example.test");
        issue("client", "ec -pkeyopt ec_paramgen_curve:prime256v1", "client.example.test");
        issue("other", "ec -pkeyopt ec_paramgen_curve:prime256v1", "other.example.test");
    }
    ~World() { std::filesystem::remove_all(folder_); }
    void run(const std::string& arguments) const
    {
        const std::string command = fmt::format("cd {} && openssl {} 2>/dev/null", folder_, arguments);
        EXPECT_EQ(std::system(command.c_str()), 0) << command;
    }
    void issue(const std::string& name, const std::string& key, const std::string& host) const
    {
        run(fmt::format("req -newkey {} -nodes -subj '/CN={}' -keyout {}.key.pem -out {}.csr.pem", key, host,
                        name, name));
        std::ofstream(folder_ + "/ext") << "subjectAltName=DNS:" << host << "\n";
        run(fmt::format("x509 -req -in {}.csr.pem -CA ca.pem -CAkey ca.key.pem -CAcreateserial -days 30 "
                        "-extfile ext -out {}.pem",
                        name, name));
    }
    std::string folder_;
};

struct Ends {
    TestParams params;
    std::unique_ptr<ServerContext> server;
    std::unique_ptr<ClientContext> client;
    ServerOptions server_options;
    ClientOptions client_options;
    ClientCall call;

    Ends()
    {
        fill(params);
        server_options.certificates.push_back(World::get().chain("ec"));
        server_options.ciphers = params.common.medium_ciphers();
        server_options.service = "smtp";
        server_options.session_time = Seconds(100);
        client_options.session_time = Seconds(100);
        client_options.authorities = World::get().pem("ca");
        call.ciphers = params.common.medium_ciphers();
    }
    void open()
    {
        auto made = ServerContext::open(params.common, std::move(server_options));
        ASSERT_TRUE(made) << made.error().context;
        server = *std::move(made);
        auto other = ClientContext::open(params.common, std::move(client_options));
        ASSERT_TRUE(other) << other.error().context;
        client = *std::move(other);
        client->load_authorities();
    }
};

struct Met {
    bool secured = false;
    std::string problem;
    Facts server;
    Facts client;
    std::vector<std::string> names;
    std::string heard; // what the server heard
    bool ended_well = false;
    bool right_name = false;
};

Task<> serve(ServerContext* context, int fd, Met* met)
{
    Stream stream{UniqueFd(fd)};
    stream.set_timeout(Milliseconds(5000));
    auto made = context->accept(stream.fd());
    const Connection* connection = made.get();
    stream.upgrade(std::move(made));
    const auto shaken = co_await stream.handshake();
    if (!shaken) {
        if (met->problem.empty())
            met->problem = shaken.error().context;
        co_return;
    }
    met->server = connection->facts();
    const auto line = co_await stream.read_line(1000);
    if (!line)
        co_return;
    met->heard = line->text;
    stream.write("well heard\r\n");
    (void)co_await stream.flush();
    const auto more = co_await stream.fill();
    met->ended_well = !more && more.error().fault == Fault::closed;
}

Task<> speak(ClientContext* context, int fd, ClientCall call, Met* met)
{
    Stream stream{UniqueFd(fd)};
    stream.set_timeout(Milliseconds(5000));
    auto made = context->connect(stream.fd(), call);
    if (!made) {
        met->problem = made.error().context;
        co_return;
    }
    const Connection* connection = made->get();
    stream.upgrade(*std::move(made));
    const auto shaken = co_await stream.handshake();
    if (!shaken) {
        if (met->problem.empty())
            met->problem = shaken.error().context;
        co_return;
    }
    stream.write("hello\r\n");
    const auto line = co_await stream.read_line(1000);
    met->secured = line && line->text == "well heard";
    met->client = connection->facts();
    met->names = connection->names();
    const std::vector<std::string> wanted{".example.test"};
    met->right_name = connection->has_name_of(wanted);
}

Task<> meet(Ends* ends, Met* met, int* fds)
{
    {
        Scope scope;
        scope.spawn(serve, ends->server.get(), fds[0], met);
        scope.spawn(speak, ends->client.get(), fds[1], ends->call, met);
        while (scope.size() > 0)
            co_await sleep_for(Milliseconds(1));
    }
    Loop::current().stop();
}

Met converse(Ends& ends)
{
    Met met;
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    Scope scope;
    Loop::current().post([&] { scope.spawn(meet, &ends, &met, static_cast<int*>(fds)); });
    Loop::current().run();
    return met;
}

TEST(TlsConnection, CarriesADialogueAndTellsTheFacts)
{
    Ends ends;
    ends.open();
    const Met met = converse(ends);
    ASSERT_TRUE(met.secured) << met.problem;
    EXPECT_EQ(met.heard, "hello");
    EXPECT_TRUE(met.ended_well);
    EXPECT_EQ(met.server.protocol, "TLSv1.3");
    EXPECT_EQ(summary(met.server),
              "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
              "server-signature ECDSA (prime256v1) server-digest SHA256");
    EXPECT_EQ(summary(met.client), summary(met.server));
    EXPECT_TRUE(met.client.trusted) << met.client.trust_problem;
    EXPECT_EQ(met.client.common_name, "mx.example.test");
    EXPECT_EQ(met.client.issuer, "Test CA");
    EXPECT_EQ(met.names, std::vector<std::string>{"mx.example.test"});
    EXPECT_TRUE(met.right_name);
    EXPECT_EQ(met.client.certificate_fingerprint.size(), 32U * 3 - 1);
    EXPECT_FALSE(met.server.has_certificate);
}

TEST(TlsConnection, ResumesSessionsInBothVersions)
{
    for (const std::uint16_t version : {version_1_2, version_1_3}) {
        Ends ends;
        ends.call.protocols.highest = version;
        ends.call.session_key = "mx";
        ends.open();
        const Met first = converse(ends);
        ASSERT_TRUE(first.secured) << first.problem;
        EXPECT_FALSE(first.client.resumed);
        const Met second = converse(ends);
        ASSERT_TRUE(second.secured) << second.problem;
        EXPECT_TRUE(second.client.resumed) << version;
        EXPECT_TRUE(second.server.resumed);
        EXPECT_TRUE(second.client.trusted);
        EXPECT_EQ(second.names, first.names);
    }
}

TEST(TlsConnection, ResumesNothingWithoutTime)
{
    Ends ends;
    ends.server_options.session_time = Seconds(0);
    ends.call.session_key = "mx";
    ends.open();
    converse(ends);
    EXPECT_FALSE(converse(ends).client.resumed);
}

TEST(TlsConnection, KnowsAnUntrustedPeer)
{
    Ends ends;
    ends.client_options.authorities.clear();
    ends.open();
    const Met met = converse(ends);
    ASSERT_TRUE(met.secured);
    EXPECT_FALSE(met.client.trusted);
    EXPECT_EQ(met.client.trust_problem, "unable to get local issuer certificate");
}

TEST(TlsConnection, TakesClientCertificates)
{
    Ends ends;
    ends.client_options.certificates.push_back(World::get().chain("client"));
    ends.server_options.ask_certificate = true;
    ends.server_options.authorities = World::get().pem("ca");
    ends.open();
    const Met met = converse(ends);
    ASSERT_TRUE(met.secured) << met.problem;
    EXPECT_TRUE(met.server.has_certificate);
    EXPECT_TRUE(met.server.trusted) << met.server.trust_problem;
    EXPECT_EQ(met.server.common_name, "client.example.test");
    EXPECT_EQ(met.server.client_signature, "ECDSA (prime256v1)");
}

TEST(TlsConnection, ServesTwoKindsOfKeysFromOneSequence)
{
    const World& world = World::get();
    for (const char* kind : {"ECDSA", "RSA"}) {
        Ends ends;
        KeyChain both;
        both.label = "both.pem";
        both.keys = world.pem("ec.key") + world.pem("ec") + world.pem("rsa.key") + world.pem("rsa");
        ends.server_options.certificates.clear();
        ends.server_options.certificates.push_back(std::move(both));
        ends.call.protocols.highest = version_1_2;
        ends.call.ciphers = fmt::format("a{}", kind);
        ends.open();
        const Met met = converse(ends);
        ASSERT_TRUE(met.secured) << kind << " " << met.problem;
        EXPECT_NE(met.client.cipher.find(kind), std::string::npos) << met.client.cipher;
        EXPECT_EQ(summary(met.client).find("key-exchange"), std::string::npos);
    }
}

TEST(TlsConnection, ServesOtherNamesWithOtherKeys)
{
    Ends ends;
    ends.server_options.find_server_name = [](std::string_view name) -> std::optional<std::string> {
        if (name != "other.example.test")
            return std::nullopt;
        return World::get().pem("other.key") + World::get().pem("other");
    };
    ends.call.server_name = "Other.example.test";
    ends.open();
    const Met met = converse(ends);
    ASSERT_TRUE(met.secured) << met.problem;
    EXPECT_EQ(met.names, std::vector<std::string>{"other.example.test"});
    EXPECT_EQ(met.server.server_name, "other.example.test");
}

TEST(TlsConnection, FailsWithTheLibrarysWords)
{
    Ends ends;
    ends.server_options.protocols.lowest = version_1_3;
    ends.call.protocols.highest = version_1_2;
    ends.open();
    const Met met = converse(ends);
    EXPECT_FALSE(met.secured);
    EXPECT_NE(met.problem.find("unsupported protocol"), std::string::npos) << met.problem;
}

TEST(TlsConnection, DaneDecidesByTheRecords)
{
    const World& world = World::get();
    Ends ends;
    ends.client_options.authorities.clear();
    ends.open();
    ASSERT_EQ(std::system(fmt::format("cd {} && openssl x509 -in ec.pem -noout -pubkey | openssl pkey -pubin "
                                      "-outform DER | openssl dgst -sha256 -binary > digest",
                                      world.folder())
                              .c_str()),
              0);
    TlsaRecord record;
    record.usage = 3;
    record.selector = 1;
    record.matching = 1;
    record.data = slurp(world.folder() + "/digest");
    ends.call.tlsa = {record};
    ends.call.dane_names = {"anything.example.test"};
    const Met met = converse(ends);
    ASSERT_TRUE(met.secured) << met.problem;
    EXPECT_TRUE(met.client.trusted) << met.client.trust_problem;

    ends.call.tlsa[0].data[0] ^= 1;
    EXPECT_FALSE(converse(ends).client.trusted);
    ends.call.tlsa[0].usage = 0;
    EXPECT_EQ(converse(ends).problem, "no usable TLSA record");
}

TEST(TlsContext, DaneDigestsThatAreNotListedAreOfNoUse)
{
    const auto usable = [](std::vector<std::string> digests) {
        Ends ends;
        ends.params.common.dane_digests.set(std::move(digests));
        const auto context = ClientContext::open(ends.params.common, {});
        std::string types;
        for (const int type : {0, 1, 2, 3})
            if (context && (*context)->is_usable({3, 1, static_cast<std::uint8_t>(type), "x"}))
                types += std::to_string(type);
        return context ? types : context.error().context;
    };
    EXPECT_EQ(usable({"sha512", "sha256"}), "012");
    EXPECT_EQ(usable({"sha256"}), "01");
    EXPECT_EQ(usable({"sha512", "sha3-256=3"}), "023");
    EXPECT_EQ(usable({"md17"}), "tls_dane_digests: unusable digest \"md17\"");
    EXPECT_EQ(usable({"sha3-256"}), "tls_dane_digests: unusable digest \"sha3-256\"");
    EXPECT_EQ(usable({"sha256=0"}), "tls_dane_digests: unusable digest \"sha256=0\"");
}

TEST(TlsContext, RefusesKeysThatDoNotFit)
{
    const World& world = World::get();
    const auto refused = [](KeyChain chain) {
        Ends ends;
        ends.server_options.certificates.clear();
        ends.server_options.certificates.push_back(std::move(chain));
        return !ServerContext::open(ends.params.common, std::move(ends.server_options));
    };
    KeyChain mixed = world.chain("ec");
    mixed.keys = world.pem("other.key");
    EXPECT_TRUE(refused(std::move(mixed)));
    KeyChain without_key = world.chain("ec");
    without_key.keys.clear();
    EXPECT_TRUE(refused(std::move(without_key)));
    KeyChain reversed;
    reversed.keys = world.pem("ec") + world.pem("ec.key");
    EXPECT_TRUE(refused(std::move(reversed)));
    KeyChain junk;
    junk.keys = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    EXPECT_TRUE(refused(std::move(junk)));
}

// A raw peer that sends these bytes and closes.
struct Raw {
    std::string problem;
    Fault fault = Fault::io;
};
Task<> accept_raw(ServerContext* context, int fd, Raw* raw, Milliseconds patience)
{
    Stream stream{UniqueFd(fd)};
    stream.set_timeout(patience);
    stream.upgrade(context->accept(stream.fd()));
    const auto shaken = co_await stream.handshake();
    if (!shaken) {
        raw->problem = shaken.error().context;
        raw->fault = shaken.error().fault;
    }
    Loop::current().stop();
}
Raw meet_raw(std::string_view bytes, bool then_close, Milliseconds patience = Milliseconds(5000))
{
    Ends ends;
    ends.open();
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    UniqueFd peer(fds[1]);
    EXPECT_EQ(::send(peer.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
    if (then_close)
        ::shutdown(peer.get(), SHUT_WR);
    Raw raw;
    Scope scope;
    Loop::current().post([&] { scope.spawn(accept_raw, ends.server.get(), fds[0], &raw, patience); });
    Loop::current().run();
    return raw;
}

TEST(TlsHandshake, RefusesGarbage)
{
    const Raw raw = meet_raw("EHLO client.test\r\n", false);
    EXPECT_EQ(raw.fault, Fault::broken);
    EXPECT_TRUE(raw.problem.starts_with("error:")) << raw.problem;
}

TEST(TlsHandshake, NoticesAPeerThatGoes)
{
    EXPECT_EQ(meet_raw("", true).fault, Fault::closed);
    EXPECT_EQ(meet_raw(std::string_view("\x16\x03\x01\x02\x00\x01\x00", 7), true).fault, Fault::closed);
}

TEST(TlsHandshake, EndsAfterItsTime)
{
    EXPECT_EQ(meet_raw(std::string_view("\x16\x03\x01", 3), false, Milliseconds(50)).fault, Fault::timeout);
}

} // namespace
} // namespace bulkhead::tls
