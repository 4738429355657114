<?php

declare(strict_types=1);

// Composer's part: Debian's packages load themselves, and Symfony 6 asks which are installed.
require_once 'Composer/InstalledVersions.php';

foreach (
    [
        'Psr/Container', 'Psr/Log', 'Symfony/Contracts/Service', 'Symfony/Component/HttpKernel', 'Symfony/Component/Routing',
        'Symfony/Component/Messenger', 'Symfony/Component/Console', 'Symfony/Bundle/FrameworkBundle', 'Symfony/Bundle/TwigBundle',
        'Symfony/Bundle/WebProfilerBundle', 'Symfony/Component/RateLimiter', 'Twig', 'Doctrine/DBAL',
    ] as $package
) {
    require_once "$package/autoload.php";
}
require_once dirname(__DIR__) . '/autoload.php';
require_once __DIR__ . '/Application.php';
require_once __DIR__ . '/Controller.php';
// A test has put the listener of docs/guide/recipes/rate-limits.md here.
if (is_file(__DIR__ . '/StreamLimit.php')) {
    require_once __DIR__ . '/StreamLimit.php';
}
