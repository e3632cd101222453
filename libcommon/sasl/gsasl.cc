#include "sasl/gsasl.h"

#include <cstring>

namespace bulkhead::sasl
{

static int asked(Gsasl*, Gsasl_session* session, Gsasl_property property)
{
    auto* const self = static_cast<GsaslSession*>(::gsasl_session_hook_get(session));
    return self == nullptr ? GSASL_NO_CALLBACK : self->provide(property);
}

Gsasl* gsasl_context()
{
    static Gsasl* const context = [] {
        Gsasl* made = nullptr;
        ensure(::gsasl_init(&made) == GSASL_OK, "libgsasl cannot be initialised");
        ::gsasl_callback_set(made, asked);
        return made;
    }();
    return context;
}

Result<> GsaslSession::open(Side side, const std::string& mechanism)
{
    Gsasl_session* session = nullptr;
    const auto start = side == Side::client ? ::gsasl_client_start : ::gsasl_server_start;
    const int status = start(gsasl_context(), mechanism.c_str(), &session);
    if (status != GSASL_OK)
        return Error{Fault::broken, ::gsasl_strerror(status)};
    session_.reset(session);
    ::gsasl_session_hook_set(session, this);
    return {};
}

int GsaslSession::step(std::string_view input, std::string& output)
{
    char* bytes = nullptr;
    std::size_t size = 0;
    // libgsasl reads some inputs as C strings.
    const std::string terminated(input);
    const int status = ::gsasl_step(session_.get(), terminated.c_str(), terminated.size(), &bytes, &size);
    output.clear();
    if (bytes != nullptr) {
        if (status == GSASL_OK || status == GSASL_NEEDS_MORE)
            output.assign(bytes, size);
        ::gsasl_free(bytes);
    }
    return status;
}

void GsaslSession::set(Gsasl_property property, const std::string& value)
{
    (void)::gsasl_property_set_raw(session_.get(), property, value.data(), value.size());
}

std::string GsaslSession::get(Gsasl_property property) const
{
    const char* const value = ::gsasl_property_fast(session_.get(), property);
    return value == nullptr ? std::string() : std::string(value);
}

} // namespace bulkhead::sasl
