<?php

declare(strict_types=1);

use Demo\Background;
use Demo\Job;
use Demo\Request;

require __DIR__ . '/../src/start.php';

Request::post();
// Besides the origin, a header that no form can set.
if (!Background::mayStart() || ($_SERVER['HTTP_X_DEMO'] ?? '') !== 'job') {
    Request::refuse(403, 'A job can be started from this machine only, by the button on the page.');
}
Request::answer(['job' => Job::start()]);
