<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use InvalidArgumentException;

/**
 * Which pages may use an endpoint with their visitors' cookies: those of the site itself, and of other origins that it
 * names. A browser says in each request where it comes from, and no page can make it say something else.
 */
final class Origins
{
    /** @var list<string> */
    private readonly array $others;

    /** @param list<string> $others `https://app.example.com`, `https://example.com:8443` */
    public function __construct(array $others = [])
    {
        foreach ($others as $other) {
            if (preg_match('~^https?://[^/\s*,?#@]+$~D', $other) !== 1) {
                throw new InvalidArgumentException(
                    "'$other' is not an origin such as 'https://app.example.com': no path, and no wildcard, since "
                    . 'whoever may send cookies has to be named',
                );
            }
        }
        $this->others = array_map('strtolower', $others);
    }

    /** Whether the request comes from a page that may; null if its client doesn't say, as what is no browser. */
    public function trusts(Request $request): ?bool
    {
        $origin = strtolower($request->header('Origin'));
        $site = $request->header('Sec-Fetch-Site');
        if ($origin !== '' && in_array($origin, $this->others, true)) {
            return true;
        }
        // The browser compares with the address that it has, which a proxy may have changed for PHP.
        if ($site !== '') {
            return $site === 'same-origin' || ($site === 'none' && $origin === '');
        }

        return $origin === '' ? null : $this->isOwn($origin, $request);
    }

    /** @return array<string, string> by which the browser lets that page read the answer */
    public function headers(Request $request): array
    {
        if ($this->others === []) {
            return [];
        }
        $origin = $request->header('Origin');
        $allowed = in_array(strtolower($origin), $this->others, true);

        return ['Vary' => 'Origin'] + ($allowed
            ? ['Access-Control-Allow-Origin' => $origin, 'Access-Control-Allow-Credentials' => 'true']
            : []);
    }

    /** The answer to a browser that asks whether it may ask. */
    public function preflight(Request $request, string $methods): Answer
    {
        $headers = $this->headers($request);
        if (!isset($headers['Access-Control-Allow-Origin'])) {
            return (new Answer(403))->with($headers);
        }

        return new Answer(204, '', $headers + [
            'Access-Control-Allow-Methods' => $methods,
            'Access-Control-Allow-Headers' => 'Authorization, Content-Type, Last-Event-ID, X-CSRF-Token',
            'Access-Control-Max-Age' => '600',
        ]);
    }

    private function isOwn(string $origin, Request $request): bool
    {
        $host = strtolower($request->header('Host'));
        if ($host === '') {
            return false;
        }
        $hosts = [$host];
        // Debian's fastcgi_params for nginx pass the host on without the port that the browser has named.
        if ($request->port !== '' && preg_match('/:\d+$/D', $host) !== 1) {
            $hosts[] = "$host:$request->port";
        }
        foreach ($hosts as $own) {
            if ($origin === "https://$own" || (!$request->secure && $origin === "http://$own")) {
                return true;
            }
        }

        return false;
    }
}
