DROP TABLE public_notices, applications;
