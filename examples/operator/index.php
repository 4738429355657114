<?php

declare(strict_types=1);

require __DIR__ . '/../../php/endpoints/autoload.php';

use Sse\Endpoint\Endpoint;
use Sse\Endpoint\Site;
use Sse\Policy;

// Who may see it is your site's to say: this example lets in whoever asks from this machine.
// Behind a proxy on this machine that would be everybody.
$isAdmin = in_array($_SERVER['REMOTE_ADDR'], ['127.0.0.1', '::1'], true);

Endpoint::dashboard(new Site(
    watch: Policy::none(),
    dashboard: $isAdmin ? Policy::patterns('view', 'disconnect', 'events') : Policy::none(),
));
