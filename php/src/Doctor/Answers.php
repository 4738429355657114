<?php

declare(strict_types=1);

namespace Sse\Doctor;

/** What the status and the headers of a stream's response tell. */
final class Answers
{
    /** Seconds by which the clocks of two machines may differ. */
    private const CLOCK = 5;

    /** Why this is no stream; null: it is one. */
    public static function refusal(HttpStream $stream): ?Finding
    {
        $said = self::beginning($stream->body);
        $error = static fn (string $id, string $message, string $cure): Finding
            => new Finding($id, Finding::ERROR, $message . ($said === '' ? '' : ": $said"), $cure);
        if (preg_match('/undefined function (sse_\w+)/', $stream->body, $function) === 1) {
            return $error(
                'no-extension',
                "the web server's PHP does not know $function[1]()",
                'add extension=sse.so to the ini files of PHP-FPM or Apache, which phpinfo() in a page lists, and restart it',
            );
        }

        return match (true) {
            self::unfollowed($stream) !== '' => $error(
                'not-followed',
                'the web server passes the header ' . self::unfollowed($stream) . ' on instead of fetching the stream from the hub'
                    . ' (sse.detach=redirect)',
                'add the location that docs/operations/servers.md#streams-by-redirect shows, or set sse.detach=auto',
            ),
            $stream->status >= 300 && $stream->status < 400 => $error(
                'redirect',
                "the answer is a redirect to {$stream->header('location')}",
                'pass what a logged-in browser sends, as --header "Cookie: …"; a stream that needs a login should answer 401 or 403',
            ),
            in_array($stream->status, [401, 403, 407], true) => $error(
                'forbidden',
                "the script, its policy or the web server does not allow the stream (status $stream->status)",
                'pass a cookie by --header "Cookie: …", or look at what the script asks for; an EventSource does not try again',
            ),
            $stream->status === 404 => $error('not-found', 'there is no such page (status 404)', 'check the address'),
            $stream->status === 204 => $error('finished', 'the topics are finished (status 204): clients are not to come back', ''),
            in_array($stream->status, [413, 429, 503], true) => $error(
                'limit',
                "the stream was refused (status $stream->status)",
                'the text says which limit; sse_stats()["refused"] counts them: docs/operations/limits.md',
            ),
            in_array($stream->status, [502, 504], true) => $error(
                'no-php',
                "the web server in front does not reach the next one or PHP (status $stream->status)",
                'look whether PHP-FPM runs and listens where the web server looks, and at the web server\'s error log',
            ),
            $stream->status !== 200 => $error(
                'script-failed',
                "the script failed (status $stream->status)",
                'PHP\'s error log has the reason; the extension may be missing in the web server\'s PHP',
            ),
            !str_starts_with(strtolower($stream->header('content-type')), 'text/event-stream') => $error(
                'content-type',
                "the answer is no event stream but '{$stream->header('content-type')}'",
                'the script printed a page (a login form?) or never came to sse_stream(); nothing may set another Content-Type',
            ),
            default => null,
        };
    }

    /** The header by which the web server was to fetch the stream; '': it has. */
    private static function unfollowed(HttpStream $stream): string
    {
        $names = ['X-Accel-Redirect', 'X-LiteSpeed-Location', (string) ini_get('sse.redirect_header')];
        $found = array_filter($names, static fn (string $name): bool => $stream->header(strtolower($name)) !== '');

        return (string) reset($found);
    }

    /** @return list<Finding> What the headers of a stream tell. */
    public static function headers(HttpStream $stream): array
    {
        $findings = [];
        $cache = strtolower($stream->header('cache-control'));
        $isKept = preg_match('/\b(public|immutable|(s-)?max-age\s*=\s*[1-9])/', $cache) === 1;
        if ($isKept || preg_match('/\bno-(cache|store)\b/', $cache) !== 1 || (int) $stream->header('age') > 0) {
            $findings[] = new Finding(
                'cacheable',
                Finding::WARNING,
                "a cache may keep the stream: Cache-Control is '$cache'",
                'let nothing replace the header that php-sse sends: no expires, add_header Cache-Control or mod_expires for streams',
            );
        }
        if ($stream->header('content-encoding') !== '') {
            $findings[] = new Finding(
                'compressed',
                Finding::WARNING,
                "the stream is compressed ({$stream->header('content-encoding')}), which costs memory for each and may hold events back",
                'exclude text/event-stream from gzip_types, mod_deflate, the CDN or zlib.output_compression',
            );
        }
        if ($stream->header('content-length') !== '') {
            $findings[] = new Finding(
                'content-length',
                Finding::ERROR,
                'the response has a Content-Length: it was read to its end, or the client will stop there',
                'find what buffers the whole response: ob_start() callbacks, a middleware, a CDN',
            );
        }
        $date = strtotime($stream->header('date'));
        if ($date !== false && abs($date - time()) > self::CLOCK) {
            $findings[] = new Finding(
                'clock',
                Finding::WARNING,
                'the clock of the server and of this machine differ by ' . abs($date - time()) . ' seconds',
                'synchronise both (NTP): grants, authenticated datagrams and ids of events depend on it',
            );
        }

        return $findings;
    }

    /** Who has sent or passed on the response, by what the headers tell. */
    public static function layers(HttpStream $stream): string
    {
        $layers = [];
        foreach (['server', 'via', 'x-cache', 'x-varnish', 'cf-ray', 'x-served-by', 'x-powered-by'] as $name) {
            if ($stream->header($name) !== '') {
                $layers[] = "$name: " . $stream->header($name);
            }
        }

        return $layers === [] ? 'no header tells of proxies' : implode(', ', $layers);
    }

    /** What cures buffering, by who is in front. */
    public static function unbuffer(HttpStream $stream): string
    {
        $server = strtolower($stream->header('server'));

        return match (true) {
            $stream->header('cf-ray') !== '' || str_contains($server, 'cloudflare')
                => 'Cloudflare holds it back: no quick tunnel, no transformation of text/event-stream',
            str_contains($server, 'apache')
                => 'Apache with PHP-FPM needs sse.pad=auto, or <Proxy "…"> ProxySet flushpackets=on:'
                . ' docs/operations/servers.md#apache-with-php-fpm',
            str_contains($server, 'nginx') => 'where nginx passes to another web server: proxy_buffering off there, or'
                . ' fastcgi_pass_header X-Accel-Buffering in the inner nginx; fastcgi_ignore_headers must not name X-Accel-Buffering',
            default => 'ask each hop in turn, from PHP outwards: docs/operations/behind-a-proxy.md; most often it is nginx in front of'
                . ' another web server (proxy_buffering off), or Apache with PHP-FPM (flushpackets=on)',
        };
    }

    private static function beginning(string $body): string
    {
        $text = trim((string) preg_replace('/\s+/', ' ', strip_tags(substr($body, 0, 2000))));

        return strlen($text) > 160 ? substr($text, 0, 157) . '…' : $text;
    }
}
