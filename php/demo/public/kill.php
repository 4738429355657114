<?php

declare(strict_types=1);

use Demo\Hub;
use Demo\Request;

require __DIR__ . '/../src/start.php';

Request::post();
// Besides the origin, a header that no form can set.
if (!Hub::mayBeKilled() || ($_SERVER['HTTP_X_DEMO'] ?? '') !== 'kill') {
    Request::refuse(403, 'The hub can be killed from this machine only, by the button on the page, when the demo was started by `make demo`.');
}
Request::answer(['pid' => Hub::kill()]);
